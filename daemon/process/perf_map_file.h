// PerfMapFile: the perf map that a process wrote for its own JIT code.
//
// The file is the target's word, so it is opened like any file of a target:
// inside its root, without magic links, regular files only; and, as perf does,
// only if it belongs to the target's own user or to root.
// Thread: any; free of state.
// Fails: NotFound when there is none, Gone, Denied for another owner's file.
#ifndef DAEMON_PROCESS_PERF_MAP_FILE_H_
#define DAEMON_PROCESS_PERF_MAP_FILE_H_

#include <string>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"
#include "daemon/process/proc_files.h"

namespace pprofd {

// /tmp/perf-PID.map, with the pid and /tmp that the process itself sees.
Result<UniqueFd> OpenPerfMapFile(const ProcessKey& key,
                                 const std::string& proc_root = kProcRoot);

}  // namespace pprofd

#endif  // DAEMON_PROCESS_PERF_MAP_FILE_H_
