// CpuSampler: the CPU-clock events, always on and of waiting queries.
//
// A capture's event ticks on every CPU and its program takes samples only of
// the processes asked for. Per-thread events would spare the other processes
// the timer, but cannot be opened for all threads of a living process without
// missing or doubling some, and restart their timer at each context switch
// (docs/decisions/0002-capture-events-per-cpu.md). All captures of one rate
// share one set of events; the last one to leave closes it.
// Owns: perf event descriptors. Borrows: BpfProgram.
// Thread: locks itself (mutex_).
// Bound: that of CaptureSlots, on pairs of process and rate.
// Fails: Exhausted when too many captures run; Denied without rights.
#ifndef DAEMON_COLLECTOR_CPU_SAMPLER_H_
#define DAEMON_COLLECTOR_CPU_SAMPLER_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/collector/bpf_program.h"
#include "daemon/collector/capture_slots.h"

namespace pprofd {

class CpuSampler {
 public:
  explicit CpuSampler(BpfProgram& program)
      : program_(program), capture_slots_(program.capture_slots()) {}
  CpuSampler(const CpuSampler&) = delete;
  CpuSampler& operator=(const CpuSampler&) = delete;

  // Starts always-on sampling on every online CPU.
  Status Start(uint64_t period_ns);
  void Stop();
  // Opens events on CPUs that came online, drops those of CPUs that left, and
  // now and then replaces events that stand still, as they do when their CPU
  // left and came back unseen. Called every second or so.
  void FollowCpus();

  // Samples a process (0 = the whole host) until as many calls of EndCapture
  // with the same arguments. On return the events are enabled.
  Status BeginCapture(int32_t pid, uint64_t period_ns);
  void EndCapture(int32_t pid, uint64_t period_ns);

 private:
  struct Event {
    UniqueFd fd;
    uint64_t last_count = 0;
  };
  // One event per online CPU.
  struct EventSet {
    int program_fd = -1;
    uint64_t period_ns = 0;
    int captures = 0;
    std::map<int, Event> by_cpu;
  };
  Status OpenMissing(EventSet& set);
  static void DropDead(EventSet& set);

  BpfProgram& program_;

  std::mutex mutex_;
  // Guarded by mutex_:
  CaptureSlots capture_slots_;
  int follow_calls_ = 0;
  EventSet always_on_;
  std::map<uint64_t, EventSet> capture_sets_;                   // by period
  std::map<std::pair<int32_t, uint64_t>, int> capture_counts_;  // references
};

}  // namespace pprofd

#endif  // DAEMON_COLLECTOR_CPU_SAMPLER_H_
