// PerfEvent: CPU-clock events that run a BPF program on every tick.
//
// Thread: free functions.
#ifndef DAEMON_COLLECTOR_PERF_EVENT_H_
#define DAEMON_COLLECTOR_PERF_EVENT_H_

#include <cstdint>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"

namespace pprofd {

// The CPUs that are online now, ascending.
Result<std::vector<int>> OnlineCpus();

// Opens, attaches and enables. Closing the descriptor ends the sampling.
// Denied: CAP_PERFMON is missing. NotFound: the CPU is offline.
Result<UniqueFd> OpenCpuClock(int cpu, uint64_t period_ns, int program_fd);

// Nanoseconds the clock has run; 0 when it cannot be read.
uint64_t ReadCount(const UniqueFd& event);

}  // namespace pprofd

#endif  // DAEMON_COLLECTOR_PERF_EVENT_H_
