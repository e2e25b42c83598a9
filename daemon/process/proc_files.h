// ProcFiles: what /proc says about one process, and about the host.
//
// A ProcessDir holds the directory /proc/PID itself. The kernel ties such a
// descriptor to the process and not to its number: once the process is gone,
// whatever is opened through it fails, even when the pid is in use again. The
// start time is compared when it is opened; so everything read through one
// ProcessDir is of one process.
// Owns: the descriptor of the directory.
// Thread: a ProcessDir belongs to one thread; functions are free of state.
// Bound: every read is capped (see the constants); what is longer is cut.
// Fails: Gone when the process left or its pid is somebody else's, Denied, Io,
//   Corrupt when a text makes no sense.
#ifndef DAEMON_PROCESS_PROC_FILES_H_
#define DAEMON_PROCESS_PROC_FILES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"
#include "daemon/process/proc_maps.h"

namespace pprofd {

inline constexpr char kProcRoot[] = "/proc";
inline constexpr size_t kMaxCmdlineBytes = 256 << 10;
inline constexpr int64_t kNsPerTick = 10'000'000;  // USER_HZ is 100 everywhere

// True for numbers the kernel can give to a process.
bool IsValidPid(int64_t pid);

// /proc/PID/stat.
struct ProcessStat {
  int32_t pid = 0;
  std::string comm;
  char state = '?';
  int32_t parent_pid = 0;
  uint64_t flags = 0;       // PF_* of the kernel
  int64_t cpu_time_ns = 0;  // utime + stime, in steps of 10 ms
  uint32_t threads = 0;
  uint64_t start_ticks = 0;

  // A zombie whose other threads still run has not.
  bool has_exited() const {
    return (state == 'Z' || state == 'X') && threads <= 1;
  }
};
std::optional<ProcessStat> ParseProcessStat(std::string_view text);

// /proc/PID/status.
struct ProcessStatus {
  uint32_t threads = 0;
  uint32_t uid = 0;           // effective
  int32_t namespace_pid = 0;  // its pid in its innermost pid namespace
  bool is_confined = false;   // by seccomp
};
ProcessStatus ParseProcessStatus(std::string_view text);

class ProcessDir {
 public:
  // The process that has `pid` now. Gone when there is none.
  static Result<ProcessDir> Open(const std::string& proc_root, int32_t pid);
  // Gone also when the pid belongs to another process by now.
  static Result<ProcessDir> Open(const std::string& proc_root,
                                 const ProcessKey& key);

  ProcessKey key() const { return {stat_.pid, stat_.start_ticks}; }
  // As read when this was opened.
  const ProcessStat& stat() const { return stat_; }

  Result<ProcessStat> ReadStat() const;
  Result<ProcessStatus> ReadStatus() const;
  Result<std::string> ReadComm() const;
  // Raw, NUL-separated, one final NUL removed.
  Result<std::string> ReadCmdline() const;
  // As the process sees it, " (deleted)" removed. NotFound: it has none.
  Result<std::string> ReadExe() const;
  Result<std::string> ReadCgroup() const;
  Result<ProcMaps> ReadMaps() const;
  Result<std::vector<int32_t>> ListThreads() const;
  bool IsKernelThread() const;

  // The path of its root directory in our view: "/" unless it is in a chroot of
  // our own mount namespace.
  std::string RootPath() const;
  // True when a path means another file to it than to us: another root
  // directory or another mount namespace.
  bool HasOtherRoot() const;

  // Opens `name` below the directory; O_CLOEXEC is added.
  Result<UniqueFd> OpenAt(const std::string& name, int flags) const;
  Result<std::string> ReadLinkAt(const std::string& name) const;

 private:
  ProcessDir() = default;
  Result<std::string> ReadFileAt(const std::string& name,
                                 size_t max_bytes) const;
  Status ErrorAt(int error, const std::string& name) const;

  UniqueFd dir_;
  ProcessStat stat_;
  std::string self_;  // the directory of our own process, for comparisons
};

// `path` without the prefix `root` ("/" = none); a path outside stays whole.
std::string PathBelowRoot(std::string path, std::string_view root);

// Numbers of all processes, ascending; empty when `proc_root` is unreadable.
std::vector<int32_t> ListPids(const std::string& proc_root = kProcRoot);

struct HostInfo {
  std::string name;            // "" unknown
  std::string kernel_release;  // "6.1.0-30-amd64"
};
HostInfo ReadHostInfo(const std::string& proc_root = kProcRoot);

}  // namespace pprofd

#endif  // DAEMON_PROCESS_PROC_FILES_H_
