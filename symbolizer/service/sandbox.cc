#include "symbolizer/service/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "daemon/base/unique_handle.h"

namespace pprofd {
namespace {

constexpr uid_t kNobody = 65534;

struct FilterTraits {
  using Value = scmp_filter_ctx;
  static Value Null() { return nullptr; }
  static void Release(Value filter) { seccomp_release(filter); }
};
using Filter = UniqueHandle<FilterTraits>;

Status Limit(int resource, const char* name, rlim_t value) {
  rlimit limit{.rlim_cur = value, .rlim_max = value};
  if (setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) {
    return Status::FromErrno(errno, name);
  }
  return Status::Ok();
}

Status LimitResources() {
  RETURN_IF_ERROR(Limit(RLIMIT_DATA, "RLIMIT_DATA", kMaxSandboxDataBytes));
  RETURN_IF_ERROR(
      Limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", kMaxSandboxDescriptors));
  RETURN_IF_ERROR(Limit(RLIMIT_CORE, "RLIMIT_CORE", 0));
  // Rather this process than one of the host's; nothing depends on it.
  UniqueFd score(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  constexpr std::string_view kFirst = "1000";
  if (score && write(score.get(), kFirst.data(), kFirst.size()) < 0) {
    return Status::FromErrno(errno, "oom_score_adj");
  }
  return Status::Ok();
}

// Root without capabilities still owns files: where it can, this becomes
// nobody. A service without CAP_SETUID cannot, and the other layers must do.
Status DropUser() {
  if (geteuid() != 0) return Status::Ok();
  bool is_dropped = setgroups(0, nullptr) == 0 &&
                    setresgid(kNobody, kNobody, kNobody) == 0 &&
                    setresuid(kNobody, kNobody, kNobody) == 0;
  if (!is_dropped && errno != EPERM) return Status::FromErrno(errno, "setuid");
  return Status::Ok();
}

Status DropRights() {
  RETURN_IF_ERROR(DropUser());
  cap_t none = cap_init();
  if (none == nullptr) return Status::FromErrno(errno, "cap_init");
  int failed = cap_set_proc(none);
  int error = errno;
  cap_free(none);
  if (failed != 0) return Status::FromErrno(error, "cap_set_proc");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Status::FromErrno(errno, "PR_SET_NO_NEW_PRIVS");
  }
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return Status::FromErrno(errno, "PR_SET_DUMPABLE");
  }
  return Status::Ok();
}

// Handles every right of the file system that the kernel's version knows, and
// allows none.
Result<uint32_t> EnterLandlock() {
  long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0,
                     LANDLOCK_CREATE_RULESET_VERSION);
  if (abi <= 0) return uint32_t{0};
  uint64_t rights = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1;  // ABI 1
  if (abi >= 2) rights |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= 3) rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
  landlock_ruleset_attr rules{};
  rules.handled_access_fs = rights;
  // Later versions know more fields; what is not said is not handled.
  UniqueFd ruleset(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &rules,
                               sizeof(rules.handled_access_fs), 0)));
  if (!ruleset) return Status::FromErrno(errno, "landlock_create_ruleset");
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return Status::FromErrno(errno, "landlock_restrict_self");
  }
  return static_cast<uint32_t>(abi);
}

// Of the C library, of libstdc++ and of ours, when files are open already.
constexpr int kAllowed[] = {
    SCMP_SYS(brk),          SCMP_SYS(clock_gettime),  SCMP_SYS(close),
    SCMP_SYS(exit),         SCMP_SYS(exit_group),     SCMP_SYS(fstat),
    SCMP_SYS(fstatfs),      SCMP_SYS(futex),          SCMP_SYS(getpid),
    SCMP_SYS(getrandom),    SCMP_SYS(gettid),         SCMP_SYS(gettimeofday),
    SCMP_SYS(lseek),        SCMP_SYS(madvise),        SCMP_SYS(mremap),
    SCMP_SYS(munmap),       SCMP_SYS(poll),           SCMP_SYS(pread64),
    SCMP_SYS(read),         SCMP_SYS(recvmsg),        SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_yield),  SCMP_SYS(sendmsg),        SCMP_SYS(setitimer),
    SCMP_SYS(sigaltstack),
};

scmp_arg_cmp Equals(unsigned argument, scmp_datum_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}

scmp_arg_cmp HasBits(unsigned argument, scmp_datum_t mask, scmp_datum_t bits) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, bits};
}

int AddRules(scmp_filter_ctx filter) {
  int failed = 0;
  auto allow = [&](int call, auto... conditions) {
    if (failed == 0) {
      failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call,
                                sizeof...(conditions), conditions...);
    }
  };
  for (int call : kAllowed) allow(call);
  for (int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    allow(call, HasBits(2, PROT_EXEC, 0));
  }
  // Of an open descriptor.
  allow(SCMP_SYS(newfstatat), HasBits(3, AT_EMPTY_PATH, AT_EMPTY_PATH));
  for (scmp_datum_t command : {F_DUPFD_CLOEXEC, F_GETFD, F_GETFL}) {
    allow(SCMP_SYS(fcntl), Equals(1, command));
  }
  allow(SCMP_SYS(write), Equals(0, STDERR_FILENO));
  // What abort() does.
  allow(SCMP_SYS(tgkill), Equals(0, static_cast<scmp_datum_t>(getpid())));
  return failed;
}

Status EnterFilter() {
  Filter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return Status(StatusCode::kExhausted, "seccomp_init");
  int failed = AddRules(filter.get());
  if (failed == 0) failed = seccomp_load(filter.get());
  if (failed != 0) return Status::FromErrno(-failed, "seccomp");
  return Status::Ok();
}

}  // namespace

Result<Confinement> EnterSandbox() {
  RETURN_IF_ERROR(LimitResources());
  RETURN_IF_ERROR(DropRights());
  Confinement confinement;
  ASSIGN_OR_RETURN(confinement.landlock_abi, EnterLandlock());
  RETURN_IF_ERROR(EnterFilter());
  return confinement;
}

}  // namespace pprofd
