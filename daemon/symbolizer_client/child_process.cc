#include "daemon/symbolizer_client/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <vector>

namespace pprofd {
namespace {

constexpr int kDyingMs = 200;

struct SpawnActions {
  SpawnActions() { posix_spawn_file_actions_init(&actions); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions); }
  posix_spawn_file_actions_t actions;
};

// Our signal mask and handlers are none of the child's.
struct SpawnAttributes {
  SpawnAttributes() {
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnAttributes() { posix_spawnattr_destroy(&attributes); }
  posix_spawnattr_t attributes;
};

// Processes that were killed and were not dead when we looked.
class Undead {
 public:
  void Add(pid_t pid) {
    std::lock_guard lock(mutex_);
    pids_.push_back(pid);
  }
  void Reap() {
    std::lock_guard lock(mutex_);
    std::erase_if(
        pids_, [](pid_t pid) { return waitpid(pid, nullptr, WNOHANG) != 0; });
  }

 private:
  std::mutex mutex_;
  std::vector<pid_t> pids_;  // guarded by mutex_
};

Undead& TheUndead() {
  static Undead undead;
  return undead;
}

// True once it is dead; it stays to be reaped.
bool WaitForDeath(pid_t pid) {
  UniqueFd handle(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!handle) return true;  // waitpid will tell
  pollfd waiting{.fd = handle.get(), .events = POLLIN, .revents = 0};
  int ready;
  while ((ready = poll(&waiting, 1, kDyingMs)) < 0 && errno == EINTR) {
  }
  return ready > 0;
}

ChildProcess::End Describe(int status) {
  if (WIFEXITED(status)) {
    int code = WEXITSTATUS(status);
    return {.exit_code = code,
            .text = "exited with code " + std::to_string(code)};
  }
  return {.exit_code = std::nullopt,
          .text = "killed by signal " + std::to_string(WTERMSIG(status))};
}

}  // namespace

Result<std::pair<ChildProcess, UniqueFd>> ChildProcess::Start(
    int program, const std::string& name, const std::string& argument,
    int child_socket) {
  std::array<int, 2> ends;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Status::FromErrno(errno, "socketpair");
  }
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  SpawnActions files;
  posix_spawn_file_actions_addopen(&files.actions, STDIN_FILENO, "/dev/null",
                                   O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files.actions, STDERR_FILENO,
                                   STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files.actions, theirs.get(), child_socket);
  SpawnAttributes attributes;
  std::string path = "/proc/self/fd/" + std::to_string(program);
  std::string own_name = name;
  std::string own_argument = argument;
  std::array<char*, 3> arguments{own_name.data(), own_argument.data(), nullptr};
  std::array<char*, 1> environment{nullptr};
  pid_t pid = 0;
  int error =
      posix_spawn(&pid, path.c_str(), &files.actions, &attributes.attributes,
                  arguments.data(), environment.data());
  if (error != 0) return Status::FromErrno(error, name);
  return std::pair(ChildProcess(pid), std::move(ours));
}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    Kill();
    pid_ = std::exchange(other.pid_, 0);
  }
  return *this;
}

std::chrono::nanoseconds ChildProcess::CpuTime() const {
  clockid_t clock;
  timespec used{};
  if (pid_ == 0 || clock_getcpuclockid(pid_, &clock) != 0 ||
      clock_gettime(clock, &used) != 0) {
    return {};
  }
  return std::chrono::seconds(used.tv_sec) +
         std::chrono::nanoseconds(used.tv_nsec);
}

ChildProcess::End ChildProcess::Kill() {
  TheUndead().Reap();
  pid_t pid = std::exchange(pid_, 0);
  if (pid == 0) return {};
  // Not reaped yet, so the number is still its own. One that died by itself
  // keeps its own cause of death.
  kill(pid, SIGKILL);
  int status = 0;
  if (!WaitForDeath(pid) || waitpid(pid, &status, 0) != pid) {
    TheUndead().Add(pid);
    return {.exit_code = std::nullopt, .text = "hangs and cannot be killed"};
  }
  return Describe(status);
}

}  // namespace pprofd
