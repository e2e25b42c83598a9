// Window: the samples of one half-open time range, as compact rows.
//
// Rows keep their exact time, so that a query can cut anywhere; what they refer
// to (stacks, threads, processes, costs) lives in the window's own tables, so
// that dropping a window frees everything about it. 24 bytes a row and 12 for
// each new stack node.
// Owns: rows and tables. Borrows: nothing.
// Thread: one writer; any number of readers once sealed.
// Bound: max_bytes, met before the next growth; then Append() answers false.
#ifndef DAEMON_AGGREGATE_WINDOW_H_
#define DAEMON_AGGREGATE_WINDOW_H_

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "daemon/aggregate/stack_table.h"
#include "daemon/base/clock.h"
#include "daemon/model/ids.h"
#include "daemon/model/sample.h"

namespace pprofd {

// Half-open: [start, end).
struct TimeRange {
  BootTime start;
  BootTime end;
  bool operator==(const TimeRange&) const = default;
};

class Window {
 public:
  struct Row {
    BootTime time;
    uint32_t thread;  // index
    uint32_t stack;   // number in stacks()
    uint16_t cpu;
    uint16_t cost;  // index
    UnwindResult result;
    uint8_t reason;
  };
  static_assert(sizeof(Row) == 24);

  struct Thread {
    uint32_t process = 0;  // index
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

  struct Process {
    ProcessKey key;
    int64_t samples = 0;
    int64_t value = 0;
  };

  // What one row stands for; few differ.
  struct Cost {
    int64_t count = 0;
    int64_t value = 0;
  };

  struct Loss {
    BootTime time;  // of the first one
    uint32_t reason = 0;
    int64_t count = 0;
  };

  Window(TimeRange range, size_t max_bytes);

  // False when the bound is reached; the sample is then not kept.
  bool Append(const Sample& sample);

  // Samples lost at about `time`; kept to the second.
  void NoteLost(uint32_t reason, int64_t count, BootTime time);

  // Nothing is appended any more; gives back what only appending needs.
  void Seal();

  const TimeRange& range() const { return range_; }
  const std::vector<Row>& rows() const { return rows_; }
  const std::vector<Thread>& threads() const { return threads_; }
  const std::vector<Process>& processes() const { return processes_; }
  const std::vector<Cost>& costs() const { return costs_; }
  const std::vector<Loss>& losses() const { return losses_; }
  const StackTable& stacks() const { return stacks_; }
  size_t bytes() const;

  // Modules that the stacks refer to, ascending. One pass over the nodes while
  // the window is open, remembered once sealed.
  std::vector<ModuleId> Modules() const;

 private:
  bool HasRoomForRow() const;
  uint32_t ThreadIndex(const Sample& sample);
  uint32_t ProcessIndex(const ProcessKey& key);
  // The index of a cost; SIZE_MAX when there are too many different ones.
  size_t CostIndex(const Cost& cost);

  const TimeRange range_;
  const size_t max_bytes_;
  bool sealed_ = false;
  std::vector<Row> rows_;
  std::vector<Thread> threads_;
  std::vector<Process> processes_;
  std::vector<Cost> costs_;
  std::vector<Loss> losses_;
  StackTable stacks_;
  std::vector<ModuleId> sealed_modules_;
  absl::flat_hash_map<Thread, uint32_t> thread_index_;
  absl::flat_hash_map<ProcessKey, uint32_t> process_index_;
};

}  // namespace pprofd

#endif  // DAEMON_AGGREGATE_WINDOW_H_
