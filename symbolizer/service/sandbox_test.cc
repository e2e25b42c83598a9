// What a process can do after EnterSandbox(): tried by one that has entered.
#include "symbolizer/service/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "daemon/base/unique_handle.h"

namespace pprofd {
namespace {

constexpr int kCannotEnter = 100;

// Runs `body` in a child that is confined; gives the child's exit code.
int InSandbox(const std::function<int()>& body) {
  pid_t child = fork();
  if (child == 0) {
    Result<Confinement> confinement = EnterSandbox();
    if (!confinement.ok()) {
      fprintf(stderr, "%s\n", confinement.status().ToString().c_str());
      _exit(kCannotEnter);
    }
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// The errno of a call that must fail; 0 when it succeeds.
template <typename Call>
int ErrorOf(const Call& call) {
  errno = 0;
  return call() < 0 ? errno : 0;
}

struct Forbidden {
  const char* name;
  std::function<long()> call;
};

class SandboxRefuses : public testing::TestWithParam<Forbidden> {};

TEST_P(SandboxRefuses, WithoutLeave) {
  EXPECT_EQ(InSandbox([] { return ErrorOf(GetParam().call); }), EPERM);
}

char* const kNoArguments[] = {nullptr};

INSTANTIATE_TEST_SUITE_P(
    Calls, SandboxRefuses,
    testing::Values(
        Forbidden{"Open", [] { return open("/etc/passwd", O_RDONLY); }},
        Forbidden{"OpenForWriting",
                  [] { return open("/tmp/x", O_WRONLY | O_CREAT, 0600); }},
        Forbidden{
            "Openat2",
            [] { return syscall(SYS_openat2, AT_FDCWD, "/", nullptr, 0); }},
        Forbidden{"OpenByHandle",
                  [] { return syscall(SYS_open_by_handle_at, 0, nullptr, 0); }},
        Forbidden{"ReadLink",
                  [] {
                    char text[16];
                    return readlink("/proc/self/exe", text, sizeof(text));
                  }},
        Forbidden{"Unlink", [] { return unlink("/tmp/x"); }},
        Forbidden{"TcpSocket", [] { return socket(AF_INET, SOCK_STREAM, 0); }},
        Forbidden{"UnixSocket", [] { return socket(AF_UNIX, SOCK_STREAM, 0); }},
        Forbidden{"SocketPair",
                  [] {
                    int ends[2];
                    return socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
                  }},
        Forbidden{"Ptrace",
                  [] { return ptrace(PTRACE_ATTACH, getppid(), 0, 0); }},
        Forbidden{"ReadOtherMemory",
                  [] {
                    return process_vm_readv(getppid(), nullptr, 0, nullptr, 0,
                                            0);
                  }},
        Forbidden{"Exec", [] { return execv("/bin/true", kNoArguments); }},
        Forbidden{"Fork", [] { return syscall(SYS_fork); }},
        Forbidden{"Clone",
                  [] { return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }},
        Forbidden{"Clone3", [] { return syscall(SYS_clone3, nullptr, 0); }},
        Forbidden{"Kill", [] { return kill(getppid(), 0); }},
        Forbidden{"IoUring",
                  [] { return syscall(SYS_io_uring_setup, 1, nullptr); }},
        Forbidden{"Bpf", [] { return syscall(SYS_bpf, 0, nullptr, 0); }},
        Forbidden{"Prctl", [] { return syscall(SYS_prctl, 4, 1, 0, 0, 0); }},
        Forbidden{"ExecutableMemory",
                  [] {
                    void* memory = mmap(nullptr, 4096, PROT_READ | PROT_EXEC,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                    return memory == MAP_FAILED ? -1L : 0L;
                  }},
        Forbidden{"Stat",
                  [] {
                    struct stat found;
                    return stat("/etc/passwd", &found);
                  }},
        Forbidden{"MoreMemoryThanItsLimit",
                  [] {
                    rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
                    return setrlimit(RLIMIT_DATA, &limit);
                  }}),
    [](const auto& forbidden) { return std::string(forbidden.param.name); });

TEST(Sandbox, LeavesWhatIsOpenReadable) {
  UniqueFd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(InSandbox([&] {
              char start[4];
              struct stat info;
              if (read(file.get(), start, sizeof(start)) != 4) return 1;
              if (fstat(file.get(), &info) != 0) return 2;
              void* map =
                  mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, file.get(), 0);
              if (map == MAP_FAILED) return 3;
              return static_cast<const char*>(map)[1] == 'E' ? 0 : 4;
            }),
            0);
}

TEST(Sandbox, LimitsMemory) {
  EXPECT_EQ(InSandbox([] {
              void* within = malloc(kMaxSandboxDataBytes / 2);
              if (within == nullptr) return 1;
              return malloc(kMaxSandboxDataBytes) == nullptr ? 0 : 2;
            }),
            0);
}

TEST(Sandbox, LeavesNoRightsOfRoot) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(InSandbox([] { return geteuid() == 0 ? 1 : 0; }), 0);
}

TEST(Sandbox, UsesLandlockWhereTheKernelHasIt) {
  long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, 1);
  pid_t child = fork();
  if (child == 0) {
    Result<Confinement> confinement = EnterSandbox();
    bool is_used = confinement.ok() && confinement->landlock_abi > 0;
    _exit(is_used == (abi > 0) ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace pprofd
