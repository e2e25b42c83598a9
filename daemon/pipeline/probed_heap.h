// ProbedHeap: samples a process by probes on its allocator's functions.
//
// Each call costs the target a trap, so the calls are counted and what they
// cost is held against a budget: while it lasts, every call is watched; when it
// is spent, allocations only, in short windows as far apart as the budget asks
// for, until the process has become slow enough. Too many sampled blocks double
// the sampling period. Profiles say all of this.
// Owns: the probes. Borrows: HeapProbes, which outlives it. Shares: the
// tracking.
// Thread: as HeapSource says; mutex_ is held for moments only, as attaching and
//   detaching take long.
#ifndef DAEMON_PIPELINE_PROBED_HEAP_H_
#define DAEMON_PIPELINE_PROBED_HEAP_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "daemon/aggregate/heap_tracking.h"
#include "daemon/base/clock.h"
#include "daemon/collector/heap_probes.h"
#include "daemon/pipeline/allocator_finder.h"
#include "daemon/pipeline/heap_budget.h"
#include "daemon/pipeline/heap_source.h"

namespace pprofd {

class ProbedHeap : public HeapSource {
 public:
  struct Parts {
    HeapProbes& probes;
    const Clock& clock;
    // Returns when what was sampled before has been delivered.
    std::function<void()> drain;
    // True when `time` passed, false when all ends.
    std::function<bool(std::chrono::nanoseconds time)> wait_for;
  };
  struct Options {
    double budget_cpus = 0.01;  // of one CPU
    uint64_t period_bytes = 512 << 10;
    size_t max_live_blocks = 65'536;  // then the period doubles
  };

  // Every call from now on is watched. Blocks: some 10 ms.
  static Result<std::unique_ptr<ProbedHeap>> Begin(
      Parts parts, const Options& options, int32_t pid, FoundAllocators found,
      std::shared_ptr<HeapTracking> tracking);

  const FoundAllocators& found() const { return found_; }

  // HeapSource:
  void Tend(std::chrono::nanoseconds elapsed) override;
  void End() override;
  Status SetPeriod(uint64_t period_bytes) override;
  void Describe(HeapSnapshot* snapshot) const override;

 private:
  using Nanoseconds = std::chrono::nanoseconds;
  using SteadyTime = std::chrono::steady_clock::time_point;

  ProbedHeap(Parts parts, const Options& options, FoundAllocators found,
             std::shared_ptr<HeapTracking> tracking, const ProbeCost& cost);

  // What one hit costs beside so many other targets.
  int64_t NsPerHit(int others) const;
  // All below: on the heap thread.
  Nanoseconds CostSoFar(int others);
  void NoteProblem(const Status& status);
  void BookHits(Nanoseconds elapsed);
  void WatchWindow();
  void RenewAfterFork();
  void GoOverToWindows(Nanoseconds gap);
  void GoBackToAll();
  void LimitSamples();

  const Parts parts_;
  const Options options_;
  const FoundAllocators found_;
  const std::shared_ptr<HeapTracking> tracking_;
  const ProbeCost cost_;

  // Heap thread:
  HeapBudget budget_;
  uint64_t hits_booked_ = 0;
  uint64_t sampling_ns_booked_ = 0;
  uint64_t forks_seen_ = 0;
  SteadyTime next_renewal_;
  SteadyTime next_window_;
  SteadyTime last_window_end_;

  mutable std::mutex mutex_;
  // Guarded by mutex_; changed by the heap thread, but for the period:
  std::unique_ptr<HeapTarget> target_;
  pprofd_heap_counts last_counts_{};  // of a target that is gone
  uint64_t period_bytes_ = 0;
  uint64_t times_doubled_ = 0;
  std::string problem_;  // why probes are not attached
  bool is_in_windows_ = false;
  Nanoseconds in_windows_{0};  // how long it was so
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_PROBED_HEAP_H_
