// KernelFeatures: what this kernel and these rights allow, probed once.
//
// Features are tried, never inferred from a version, but for one bug that
// cannot be probed safely: user memory reads from interrupt context may
// deadlock on 5.19 … 6.3 kernels without the fix of 6.1.36 and 6.3.10.
// Thread: values.
#ifndef DAEMON_COLLECTOR_KERNEL_FEATURES_H_
#define DAEMON_COLLECTOR_KERNEL_FEATURES_H_

#include <string>
#include <string_view>

#include "daemon/base/status.h"

namespace pprofd {

struct KernelVersion {
  int major = 0;
  int minor = 0;
  int patch = 0;
  auto operator<=>(const KernelVersion&) const = default;
};

// "6.1.0-49-amd64", with the patch level of Debian's version string
// ("… Debian 6.1.192-1 …") preferred where `version` has one.
KernelVersion ParseKernelVersion(std::string_view release,
                                 std::string_view version);

// True when reading user memory from a timer may hang this kernel.
bool UserReadsMayDeadlock(KernelVersion version);

// What must be there before the programs are loaded. One message names what is
// missing and what to do. Denied: rights. Unsupported: kernel.
Status CheckKernel();

}  // namespace pprofd

#endif  // DAEMON_COLLECTOR_KERNEL_FEATURES_H_
