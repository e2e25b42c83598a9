// History: the always-on samples of the last minutes, in windows.
//
// The newest window and the one before it are open, so that samples which took
// the long way (unwound in userspace) find their place; older ones are sealed
// and immutable, and queries read them without the lock.
// Owns: its windows, shared with queries under way. Borrows: nothing.
// Thread: locks itself: mutex_. Append and NoteLost belong to the reader
//   thread and do not allocate but for amortized growth.
// Bound: max_age and max_bytes; the oldest window goes first (counters
//   windows_evicted, history_bytes). What a single window cannot hold is lost
//   as HISTORY_FULL, shown in Aggregate::lost and samples_refused(). A sample
//   older than the open windows is not kept (counter history_samples_late).
#ifndef DAEMON_AGGREGATE_HISTORY_H_
#define DAEMON_AGGREGATE_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "daemon/aggregate/aggregate_fold.h"
#include "daemon/aggregate/window.h"
#include "daemon/model/aggregate.h"

namespace pprofd {

class History {
 public:
  struct Options {
    int64_t window_ns = 10'000'000'000;
    int64_t max_age_ns = 600'000'000'000;
    size_t max_bytes = 64 << 20;
  };
  struct ProcessCpu {
    ProcessKey process;
    int64_t samples = 0;
    int64_t value = 0;
  };
  struct CpuUsage {
    TimeRange range;
    std::vector<ProcessCpu> processes;  // by key
  };

  explicit History(const Options& options) : options_(options) {}
  ~History();
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // REQUIRES: !sample.is_capture.
  void Append(const Sample& sample);
  void NoteLost(uint32_t reason, int64_t count, BootTime time);
  // Time passes without samples, too: seals and expires windows.
  void Advance(BootTime now);

  // The samples of [from, to) that match, and the losses of that time. Start
  // and end of the answer are clipped to Covered().
  Aggregate Query(BootTime from, BootTime to, const SampleFilter& filter,
                  const AggregateFields& fields) const;

  // What can be asked about; empty before the first sample.
  TimeRange Covered() const;
  // CPU time by process over the last `span_ns`, or over all there is when that
  // is less.
  CpuUsage RecentCpu(int64_t span_ns) const;

  // Who and what the windows refer to, ascending: must be kept describable.
  std::vector<ProcessKey> Processes() const;
  std::vector<ModuleId> ModulesInUse() const;

  int64_t samples_refused() const;
  size_t bytes() const;

 private:
  // All below: REQUIRES mutex_.
  void Observe(BootTime time);
  Window* OpenWindow(BootTime time);
  void SealBefore(BootTime limit);
  void ExpireBefore(BootTime limit);
  void EvictForSpace();
  void DropOldest();
  size_t TotalBytes() const;
  void PublishBytes();
  // Calls visit(const Window&) for every window, oldest first.
  template <typename Visitor>
  void ForEachWindow(Visitor visit) const;

  const Options options_;

  mutable std::mutex mutex_;
  std::deque<std::shared_ptr<const Window>> sealed_;  // by time
  std::deque<std::unique_ptr<Window>> open_;          // by time, at most 2
  size_t sealed_bytes_ = 0;
  bool observed_ = false;
  BootTime covered_from_;
  BootTime covered_to_;
  BootTime sealed_until_;  // no window before this is open
  int64_t samples_refused_ = 0;
  size_t published_bytes_ = 0;  // as counted in history_bytes
};

}  // namespace pprofd

#endif  // DAEMON_AGGREGATE_HISTORY_H_
