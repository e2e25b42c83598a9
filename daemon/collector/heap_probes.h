// HeapProbes: probes on the allocator functions of chosen processes.
//
// A probe costs its target a trap per call; how much of a CPU that is on this
// machine is measured once, on functions of our own. Kernels with uprobe
// sessions (6.13) need one trap for a call that is not sampled, others two.
// Owns: the table of targets. Borrows: BpfProgram, which outlives it and all
// targets.
// Thread: Open and Calibrate from any; Attach and Detach of a HeapTarget from
//   one at a time, its other methods from any.
// Bound: PPROFD_MAX_HEAP_TARGETS; then Exhausted.
// Fails: Unsupported when the kernel has no cookies for probes (before 5.15),
//   Io and Denied as the kernel says, with what it refused.
#ifndef DAEMON_COLLECTOR_HEAP_PROBES_H_
#define DAEMON_COLLECTOR_HEAP_PROBES_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/collector/bpf_program.h"
#include "daemon/model/allocator_report.h"
#include "daemon/model/ids.h"

struct bpf_link;

namespace pprofd {

// Functions of one file. The descriptor is borrowed for a call.
struct HeapProbeSet {
  int file = -1;
  std::vector<AllocatorFunction> functions;
};

// CPU time that one hit costs the target.
struct ProbeCost {
  int64_t emulated_ns = 0;  // decided at the entry
  int64_t stepped_ns = 0;   // where the kernel single-steps
  // More for each other target on the same functions: the kernel asks the
  // probes of all processes at every hit.
  int64_t per_other_ns = 0;
  bool has_sessions = false;
  bool kills_confined = false;  // a probed process that has a seccomp filter
};

class HeapProbes;

// A process with a place in the kernel half's table. Its probes go with it.
class HeapTarget {
 public:
  ~HeapTarget();
  HeapTarget(const HeapTarget&) = delete;
  HeapTarget& operator=(const HeapTarget&) = delete;

  // Allocating functions always, releasing ones if `watches_frees`. Waits for
  // the kernel: some 10 ms, and 50 more when it takes the place of an earlier
  // attachment; no call is missed or seen twice then.
  Status Attach(std::span<const HeapProbeSet> sets, bool watches_frees);
  // Waits for programs under way: some 50 ms.
  void Detach();
  // Hits count only while it is open, from and to this very moment. It is
  // closed at first.
  void SetOpen(bool is_open);

  void SetPeriod(uint64_t period_bytes);
  // Since Open.
  pprofd_heap_counts ReadCounts() const;
  void ForgetBlocks();
  // Processes that it forked so far. They are slowed by traps for nothing until
  // probes are attached anew.
  uint64_t forks() const;

 private:
  friend class HeapProbes;
  HeapTarget(HeapProbes& probes, uint32_t index, int32_t pid,
             uint32_t tracking);

  Status AttachSession(const HeapProbeSet& set, bool watches_frees);
  Status AttachPairs(const HeapProbeSet& set, bool watches_frees);
  uint64_t CookieOf(const AllocatorFunction& function) const;

  HeapProbes& probes_;
  const uint32_t index_;
  const int32_t pid_;
  const uint32_t tracking_;
  bool is_counted_ = false;       // in HeapProbes::attached_
  uint8_t generation_ = 0;        // of the probes
  std::vector<UniqueFd> fds_;     // of session links
  std::vector<bpf_link*> links_;  // of pairs
};

class HeapProbes {
 public:
  explicit HeapProbes(BpfProgram& program) : program_(program) {}
  HeapProbes(const HeapProbes&) = delete;
  HeapProbes& operator=(const HeapProbes&) = delete;

  // Finds out, at the first call, how this kernel probes and what it costs.
  Result<ProbeCost> Calibrate();

  Result<std::unique_ptr<HeapTarget>> Open(int32_t pid, uint32_t tracking,
                                           uint64_t period_bytes);
  // Targets whose probes are attached.
  int attached() const { return attached_.load(std::memory_order_relaxed); }

 private:
  friend class HeapTarget;

  Result<ProbeCost> Measure();
  Result<int64_t> MeasureHit(HeapTarget& target, const HeapProbeSet& set,
                             void (*function)(uint64_t), bool* has_sessions);
  bool KillsConfined(const HeapProbeSet& set, bool has_sessions);

  BpfProgram& program_;
  std::mutex mutex_;
  std::optional<ProbeCost> cost_;  // mutex_
  std::atomic<int> attached_ = 0;
  std::atomic<uint32_t> open_ = 0;
  std::array<std::atomic<bool>, PPROFD_MAX_HEAP_TARGETS> in_use_{};
};

}  // namespace pprofd

#endif  // DAEMON_COLLECTOR_HEAP_PROBES_H_
