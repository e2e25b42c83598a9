// LiveChild: a child process that runs cat, or a copy of it, for tests.
//
// Owns: the process; killed and reaped with this object.
// Thread: one owner.
#ifndef DAEMON_PROCESS_LIVE_CHILD_H_
#define DAEMON_PROCESS_LIVE_CHILD_H_

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "daemon/base/unique_handle.h"

namespace pprofd {

inline constexpr char kCat[] = "/bin/cat";

class LiveChild {
 public:
  // Runs `program` as "cat -u". It runs for sure when this returns: it has
  // echoed a byte. (posix_spawn() comes back while execve() still maps it.)
  explicit LiveChild(const std::string& program) {
    int to_child[2];
    int from_child[2];
    if (pipe2(to_child, O_CLOEXEC) != 0) return;
    UniqueFd child_in(to_child[0]);
    input_ = UniqueFd(to_child[1]);
    if (pipe2(from_child, O_CLOEXEC) != 0) return;
    UniqueFd output(from_child[0]);
    UniqueFd child_out(from_child[1]);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, child_in.get(), 0);
    posix_spawn_file_actions_adddup2(&actions, child_out.get(), 1);
    std::string name = "cat";
    std::string argument = "-u";
    char* arguments[] = {name.data(), argument.data(), nullptr};
    if (posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments,
                    environ) != 0) {
      pid_ = 0;
    }
    posix_spawn_file_actions_destroy(&actions);
    child_out.Reset();
    char byte = 'x';
    if (pid_ != 0 && (write(input_.get(), &byte, 1) != 1 ||
                      read(output.get(), &byte, 1) != 1)) {
      Kill();
    }
  }
  ~LiveChild() { Kill(); }
  LiveChild(const LiveChild&) = delete;
  LiveChild& operator=(const LiveChild&) = delete;

  pid_t pid() const { return pid_; }  // 0: did not start, or was killed
  void Kill() {
    if (pid_ == 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  UniqueFd input_;  // cat ends with it
};

}  // namespace pprofd

#endif  // DAEMON_PROCESS_LIVE_CHILD_H_
