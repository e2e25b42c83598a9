// Sandbox: takes everything from a process but computing, its open descriptors
// and talking over a socket it has.
//
// Layers, each enough by itself against most of what the next is for: no
// capabilities and, where it can be changed, no user of its own (nobody); no
// new privileges; Landlock without any rule; a seccomp filter that refuses with
// EPERM all but some forty harmless calls: nothing can be opened, connected,
// executed, forked, traced or signalled, and no memory made executable. Limits:
// kMaxSandboxDataBytes of memory, kMaxSandboxDescriptors, no core file; first
// to go when the
// host runs out of memory.
// Thread: one, before any other exists. Cannot be undone.
// Fails: Unsupported, Denied, Io: not confined, must not go on.
#ifndef SYMBOLIZER_SERVICE_SANDBOX_H_
#define SYMBOLIZER_SERVICE_SANDBOX_H_

#include <cstdint>

#include "daemon/base/status.h"

namespace pprofd {

struct Confinement {
  uint32_t landlock_abi = 0;  // 0: the kernel has no Landlock
};

inline constexpr uint64_t kMaxSandboxDataBytes = 512 << 20;
inline constexpr uint64_t kMaxSandboxDescriptors = 256;

Result<Confinement> EnterSandbox();

}  // namespace pprofd

#endif  // SYMBOLIZER_SERVICE_SANDBOX_H_
