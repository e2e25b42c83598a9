// JitDumpFile: the jitdump that a process writes for its own JIT code.
//
// The file may lie anywhere, but its writer maps its first page executable,
// as a mark for profilers: "/any/where/jit-PID.dump" in the process's maps. So
// it is opened through that mapping, which works for deleted files as well, or
// else by its path in the process's root. Like a perf map it is the target's
// word: regular files only, of the target's own user or of root.
// Thread: any; free of state.
// Fails: NotFound when there is no such mapping, Gone, Denied for another
//   owner's file.
#ifndef DAEMON_PROCESS_JIT_DUMP_FILE_H_
#define DAEMON_PROCESS_JIT_DUMP_FILE_H_

#include <string>
#include <string_view>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"
#include "daemon/process/proc_files.h"

namespace pprofd {

// True for "…/jit-NUMBER.dump", which is mapped as a mark only.
bool IsJitDumpPath(std::string_view path);

struct JitDumpFile {
  UniqueFd file;
  std::string path;  // as the process sees it
};

// A process that was forked may still have its parent's file mapped: its own
// is the one with the pid that it knows itself by, or else the last one.
Result<JitDumpFile> OpenJitDumpFile(const ProcessKey& key,
                                    const std::string& proc_root = kProcRoot);

}  // namespace pprofd

#endif  // DAEMON_PROCESS_JIT_DUMP_FILE_H_
