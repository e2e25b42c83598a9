// SeccompTrial: whether a process that seccomp confines outlives return probes.
//
// Since Linux 6.11 a return probe leads through a system call that the kernel
// makes on the program's behalf. Until it was mended (6.14, and versions of the
// ones before) filters saw this call, and those that do not know it kill the
// program. Which kernel does so its version does not tell: a child is tried,
// whose filter refuses nothing else.
// Owns: the child, which ends with it.
// Thread: one at a time.
// Fails: as the kernel says when there can be no child.
#ifndef DAEMON_COLLECTOR_SECCOMP_TRIAL_H_
#define DAEMON_COLLECTOR_SECCOMP_TRIAL_H_

#include <sys/types.h>

#include <cstdint>
#include <utility>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"

namespace pprofd {

class SeccompTrial {
 public:
  using Function = void (*)(uint64_t bytes);

  // The child waits. REQUIRES: `function` calls nothing.
  static Result<SeccompTrial> Start(Function function);
  ~SeccompTrial();
  SeccompTrial(SeccompTrial&& other) noexcept;
  SeccompTrial& operator=(SeccompTrial&&) = delete;

  pid_t pid() const { return pid_; }
  // Has the child call the function; true when it ends by itself.
  bool Survives();

 private:
  SeccompTrial(pid_t pid, UniqueFd signal)
      : pid_(pid), signal_(std::move(signal)) {}
  int WaitForEnd();

  pid_t pid_;  // -1: it has ended
  UniqueFd signal_;
};

}  // namespace pprofd

#endif  // DAEMON_COLLECTOR_SECCOMP_TRIAL_H_
