#include "daemon/collector/kernel_features.h"

#include <linux/capability.h>
#include <sys/capability.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <charconv>
#include <vector>

namespace pprofd {
namespace {

constexpr KernelVersion kOldestSupported{5, 10, 0};
constexpr char kBtfPath[] = "/sys/kernel/btf/vmlinux";

// Parses "1.2.3…" at the front of `text`; missing parts stay 0.
KernelVersion ParseTriple(std::string_view text) {
  KernelVersion version;
  int* parts[] = {&version.major, &version.minor, &version.patch};
  const char* at = text.data();
  const char* end = at + text.size();
  for (int* part : parts) {
    auto [next, error] = std::from_chars(at, end, *part);
    if (error != std::errc() || next == end || *next != '.') break;
    at = next + 1;
  }
  return version;
}

bool HasCapability(cap_value_t capability) {
  cap_t caps = cap_get_proc();
  if (caps == nullptr) return false;
  cap_flag_value_t value = CAP_CLEAR;
  cap_get_flag(caps, capability, CAP_EFFECTIVE, &value);
  cap_free(caps);
  return value == CAP_SET;
}

Status CheckRights() {
  // SYS_ADMIN implies all of them.
  if (HasCapability(CAP_SYS_ADMIN)) return Status::Ok();
  struct Need {
    cap_value_t capability;
    const char* name;
  };
  static constexpr Need kNeeds[] = {
      {CAP_BPF, "CAP_BPF"},
      {CAP_PERFMON, "CAP_PERFMON"},
      {CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
      {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"},
      {CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE"},
  };
  std::string missing;
  for (const Need& need : kNeeds) {
    if (HasCapability(need.capability)) continue;
    if (!missing.empty()) missing += ", ";
    missing += need.name;
  }
  if (missing.empty()) return Status::Ok();
  return Status(StatusCode::kDenied,
                "cannot profile this host: missing " + missing +
                    "; run pprofd as root (sudo pprofd run) or grant these "
                    "capabilities");
}

}  // namespace

KernelVersion ParseKernelVersion(std::string_view release,
                                 std::string_view version) {
  static constexpr std::string_view kDebian = "Debian ";
  size_t at = version.find(kDebian);
  if (at != std::string_view::npos) {
    KernelVersion debian = ParseTriple(version.substr(at + kDebian.size()));
    if (debian.major != 0) return debian;
  }
  return ParseTriple(release);
}

bool UserReadsMayDeadlock(KernelVersion version) {
  KernelVersion line{version.major, version.minor, 0};
  if (line < KernelVersion{5, 19, 0} || line > KernelVersion{6, 3, 0}) {
    return false;
  }
  if (line == KernelVersion{6, 1, 0}) return version.patch < 36;
  if (line == KernelVersion{6, 3, 0}) return version.patch < 10;
  return true;
}

Status CheckKernel() {
  utsname name;
  if (uname(&name) != 0) return Status::FromErrno(errno, "uname");
  KernelVersion version = ParseKernelVersion(name.release, name.version);
  std::string release(name.release);
  if (version < kOldestSupported) {
    return Status(StatusCode::kUnsupported,
                  "kernel " + release +
                      " is too old: pprofd needs Linux 5.10 or newer; boot a "
                      "newer kernel");
  }
  RETURN_IF_ERROR(CheckRights());
  if (access(kBtfPath, R_OK) != 0) {
    return Status(StatusCode::kUnsupported,
                  std::string("no readable ") + kBtfPath + ": kernel " +
                      release +
                      " has no type information; boot a kernel built with "
                      "CONFIG_DEBUG_INFO_BTF=y");
  }
  if (UserReadsMayDeadlock(version)) {
    return Status(StatusCode::kUnsupported,
                  "kernel " + release +
                      " may hang when user stacks are read from a timer; "
                      "update to 6.1.36, 6.3.10, 6.4 or newer");
  }
  return Status::Ok();
}

}  // namespace pprofd
