#include "daemon/collector/seccomp_trial.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace pprofd {
namespace {

constexpr uint64_t kBlockBytes = 64;
// Of x86-64, made by the kernel only: uretprobe and uprobe.
constexpr uint32_t kProbeCalls[] = {335, 336};

sock_filter Load(uint32_t offset) {
  return {.code = BPF_LD | BPF_W | BPF_ABS, .jt = 0, .jf = 0, .k = offset};
}
sock_filter SkipUnless(uint32_t value) {
  return {.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 0, .jf = 1, .k = value};
}
sock_filter Return(uint32_t action) {
  return {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = action};
}

// Calls only what a child of a program with threads may call.
[[noreturn]] void RunChild(int signal, SeccompTrial::Function function) {
  std::array filter = {
      Load(offsetof(seccomp_data, nr)), SkipUnless(kProbeCalls[0]),
      Return(SECCOMP_RET_KILL_PROCESS), SkipUnless(kProbeCalls[1]),
      Return(SECCOMP_RET_KILL_PROCESS), Return(SECCOMP_RET_ALLOW),
  };
  sock_fprog program = {.len = filter.size(), .filter = filter.data()};
  char go = 0;
  bool is_ready = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
                  prctl(PR_SET_DUMPABLE, 0) == 0 &&
                  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
                  read(signal, &go, 1) == 1;
  if (!is_ready) _exit(1);
  function(kBlockBytes);
  _exit(0);
}

}  // namespace

Result<SeccompTrial> SeccompTrial::Start(Function function) {
  std::array<int, 2> ends{-1, -1};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Status::FromErrno(errno, "pipe");
  }
  UniqueFd signal(ends[0]);
  UniqueFd sender(ends[1]);
  pid_t pid = fork();
  if (pid < 0) return Status::FromErrno(errno, "fork");
  if (pid == 0) {
    close(sender.get());  // or it would wait for itself
    RunChild(signal.get(), function);
  }
  return SeccompTrial(pid, std::move(sender));
}

SeccompTrial::SeccompTrial(SeccompTrial&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), signal_(std::move(other.signal_)) {}

SeccompTrial::~SeccompTrial() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  WaitForEnd();
}

int SeccompTrial::WaitForEnd() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

bool SeccompTrial::Survives() {
  if (pid_ < 0) return false;
  char go = 1;
  ssize_t sent = write(signal_.get(), &go, 1);
  if (sent != 1) return false;
  int status = WaitForEnd();
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace pprofd
