// ProcessInfo: what is known about one process, alive or gone.
//
// Thread: value; process/process_table hands out copies.
#ifndef DAEMON_MODEL_PROCESS_INFO_H_
#define DAEMON_MODEL_PROCESS_INFO_H_

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/model/ids.h"
#include "daemon/model/sample.h"

namespace pprofd {

struct ProcessInfo {
  ProcessKey key;
  std::string comm;     // of the main thread
  std::string exe;      // as the process sees it, " (deleted)" removed
  std::string cmdline;  // raw, NUL-separated, one final NUL removed
  std::string root;     // "/proc/PID/root" while alive
  bool is_kernel_thread = false;
  bool exited = false;
  int64_t exit_cpu_time_ns = 0;  // utime + stime at exit, 0 while alive
  BootTime first_seen;
  // Executable mappings by start address: met by samples and, for living
  // processes, read from /proc/PID/maps. Modules are numbers where known.
  std::vector<Mapping> mappings;
  // The r-xp mapping of the executable itself; limit 0 when unknown.
  Mapping exe_mapping;
  ModuleId exe_module = ModuleId::kNone;
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_PROCESS_INFO_H_
