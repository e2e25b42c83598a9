// MemoryPolicy: gives memory back that symbolizing needed for a moment.
//
// Debug information of a large file takes tens of MiB while it is read. By
// default glibc keeps such blocks, in an arena per thread, for ever.
// Thread: SetMemoryPolicy once, before threads start; the other from any.
#ifndef DAEMON_BASE_MEMORY_POLICY_H_
#define DAEMON_BASE_MEMORY_POLICY_H_

namespace pprofd {

void SetMemoryPolicy();
// Returns free pages to the kernel; some milliseconds at most.
void ReturnFreeMemory();

}  // namespace pprofd

#endif  // DAEMON_BASE_MEMORY_POLICY_H_
