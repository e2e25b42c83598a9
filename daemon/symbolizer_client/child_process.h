// ChildProcess: a program of ours, its socket, its end.
//
// Owns: the process; it is killed when this goes. Borrows: nothing.
// Thread: one at a time.
#ifndef DAEMON_SYMBOLIZER_CLIENT_CHILD_PROCESS_H_
#define DAEMON_SYMBOLIZER_CLIENT_CHILD_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"

namespace pprofd {

class ChildProcess {
 public:
  // Runs `program` (a descriptor) under `name`, with one argument, a socket as
  // descriptor `child_socket`, and stderr. The other end comes back.
  static Result<std::pair<ChildProcess, UniqueFd>> Start(
      int program, const std::string& name, const std::string& argument,
      int child_socket);

  ChildProcess() = default;
  ChildProcess(ChildProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)) {}
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess() { Kill(); }

  pid_t pid() const { return pid_; }
  explicit operator bool() const { return pid_ != 0; }
  // Used so far, by all its threads; 0 when that cannot be known.
  std::chrono::nanoseconds CpuTime() const;

  // Ends it. How it ended: "killed by signal 9", "exited with code 3"; a
  // process that does not die at once (it waits for a file system) is left to
  // die, and to be reaped by a later Kill() of any ChildProcess.
  struct End {
    std::optional<int> exit_code;
    std::string text;
  };
  End Kill();

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_ = 0;  // 0: none
};

}  // namespace pprofd

#endif  // DAEMON_SYMBOLIZER_CLIENT_CHILD_PROCESS_H_
