// AllocationCounter: how often a thread asked for memory, for tests.
//
// Replaces the global operator new of the test binary it is linked into. A file
// of its own, so that compilers do not see through it.
// Thread: counts per thread.
#ifndef DAEMON_PROCESS_ALLOCATION_COUNTER_H_
#define DAEMON_PROCESS_ALLOCATION_COUNTER_H_

#include <cstddef>

namespace pprofd {

// Of the calling thread, since it started.
size_t AllocationCount();

}  // namespace pprofd

#endif  // DAEMON_PROCESS_ALLOCATION_COUNTER_H_
