// AggregateFold: windows, cut at exact times, folded into one Aggregate.
//
// Every window has its own numbers for stacks and threads; the fold maps each
// of them once and then adds rows with two array look-ups and one hash.
// Owns: the aggregate in the making. Borrows: nothing between calls.
// Thread: one thread.
// Bound: the size of the windows added.
#ifndef DAEMON_AGGREGATE_AGGREGATE_FOLD_H_
#define DAEMON_AGGREGATE_AGGREGATE_FOLD_H_

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "daemon/aggregate/stack_table.h"
#include "daemon/aggregate/window.h"
#include "daemon/model/aggregate.h"

namespace pprofd {

// Which samples count; zero fields match everything.
struct SampleFilter {
  int32_t pid = 0;
  uint64_t start_ticks = 0;  // with pid: this process, not another of its pid
  int32_t tid = 0;

  bool Matches(const ProcessKey& process) const {
    return (pid == 0 || pid == process.pid) &&
           (start_ticks == 0 || start_ticks == process.start_ticks);
  }
};

class AggregateFold {
 public:
  AggregateFold(TimeRange range, const SampleFilter& filter,
                const AggregateFields& fields)
      : range_(range), filter_(filter), fields_(fields) {}

  void Add(const Window& window);

  // The rows in the order in which they were first met. Losses are those of the
  // time range, whosever samples they were.
  Aggregate Finish() &&;

 private:
  struct RowKey {
    uint32_t thread = 0;  // index into threads_
    uint32_t stack = 0;
    uint32_t cpu = 0;
    bool operator==(const RowKey&) const = default;
    template <typename H>
    friend H AbslHashValue(H h, const RowKey& key) {
      return H::combine(std::move(h), key.thread, key.stack, key.cpu);
    }
  };
  // A thread without the fields that nobody asked for.
  struct Thread {
    ProcessKey process;
    int32_t tid = 0;
    Comm comm{};
    uint64_t cgroup_id = 0;
    bool operator==(const Thread&) const = default;
    template <typename H>
    friend H AbslHashValue(H h, const Thread& thread) {
      return H::combine(std::move(h), thread.process, thread.tid, thread.comm,
                        thread.cgroup_id);
    }
  };

  // Per window: our number of each of its threads, kFiltered for those that do
  // not count.
  std::vector<uint32_t> MapThreads(const Window& window);
  uint32_t MapStack(const Window& window, uint32_t stack,
                    std::vector<uint32_t>& known);
  void AddRow(const RowKey& key, const Window::Cost& cost);
  void AddTotals(const Window::Row& row, const Window::Cost& cost);

  const TimeRange range_;
  const SampleFilter filter_;
  const AggregateFields fields_;
  Aggregate aggregate_;
  std::vector<Thread> threads_;
  absl::flat_hash_map<Thread, uint32_t> thread_index_;
  absl::flat_hash_map<RowKey, uint32_t> row_index_;
  StackTable stacks_{SIZE_MAX};
};

}  // namespace pprofd

#endif  // DAEMON_AGGREGATE_AGGREGATE_FOLD_H_
