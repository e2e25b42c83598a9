// HeapTracking: the sampled blocks of one process, living and gone.
//
// Fed with samples and frees as they come. A free may overtake the sample of
// its block, which was finished elsewhere: the pair is matched by address and
// time. A block whose address is handed out again was freed where no probe saw
// it, and counts as freed.
// Owns: stacks, records, the living blocks, a log of the last changes.
// Borrows: nothing.
// Thread: locks itself: mutex_.
// Bound: Options; a sample that finds no room is lost as HEAP_FULL and counted
//   in the notes. The log forgets its oldest changes first.
#ifndef DAEMON_AGGREGATE_HEAP_TRACKING_H_
#define DAEMON_AGGREGATE_HEAP_TRACKING_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "daemon/aggregate/stack_table.h"
#include "daemon/base/clock.h"
#include "daemon/model/heap_snapshot.h"
#include "daemon/model/sample.h"

namespace pprofd {

class HeapTracking {
 public:
  struct Options {
    size_t max_stack_bytes = 4 << 20;
    size_t max_records = 65'536;
    size_t max_changes = 256 << 10;  // 16 bytes each
    int64_t max_age_ns = 600'000'000'000;
  };
  HeapTracking(uint32_t number, const ProcessKey& process, BootTime since,
               const Options& options);
  HeapTracking(const HeapTracking&) = delete;
  HeapTracking& operator=(const HeapTracking&) = delete;

  uint32_t number() const { return number_; }
  const ProcessKey& process() const { return process_; }
  BootTime since() const { return since_; }

  // REQUIRES: a sample of this tracking whose stack is final.
  void OnAlloc(const Sample& sample);
  void OnFree(const FreeEvent& event);

  // Allocations are watched in windows of time only, and frees not at all: what
  // comes from now on counts when its window ends.
  void StopWatchingFrees();
  // The window that began with this call or the last one has ended: its samples
  // stand for `factor` times as many.
  void EndWindow(double factor);
  // Frees are watched from `now` on; of older blocks none is known.
  void StartWatchingFrees(BootTime now);

  // All since the tracking began.
  HeapSnapshot Snapshot(BootTime now) const;
  // What changed in [from, to); `since` says from when on that is known.
  HeapSnapshot Between(BootTime from, BootTime to) const;

  size_t live_count() const;
  size_t record_count() const;
  std::vector<ModuleId> ModulesInUse() const;

 private:
  struct Live {
    uint32_t record = 0;
    BootTime time;
  };
  struct Change {
    BootTime time;
    uint32_t record = 0;
    // Of an allocation; negative: its free will not be seen; 0 = a free.
    float weight = 0;
  };

  // All below: REQUIRES mutex_.
  bool FindRecord(const Sample& sample, uint32_t* record);
  void Log(BootTime time, uint32_t record, float weight);
  void Release(uint32_t record, BootTime time);
  void KeepAlive(const Sample& sample, uint32_t record);
  HeapSnapshot Describe(BootTime now) const;

  const uint32_t number_;
  const ProcessKey process_;
  const BootTime since_;
  const Options options_;

  mutable std::mutex mutex_;
  StackTable stacks_;
  std::vector<HeapRecord> records_;  // their `stack` is a node of stacks_
  absl::flat_hash_map<std::tuple<uint32_t, uint64_t, uint64_t>, uint32_t>
      record_index_;  // by stack, size and period
  absl::flat_hash_map<uint64_t, Live> live_;
  // Address and time of blocks whose samples are still to come.
  absl::flat_hash_set<std::pair<uint64_t, int64_t>> early_frees_;
  std::deque<Change> changes_;
  BootTime changes_since_;
  size_t window_changes_ = 0;  // at the end of changes_
  bool watches_frees_ = true;
  BootTime inuse_since_;
  uint64_t lost_ = 0;
  uint64_t untracked_ = 0;
  uint64_t reused_ = 0;
  uint64_t frees_forgotten_ = 0;
};

// What changed from `before` to `after`, of one tracking.
HeapSnapshot Difference(const HeapSnapshot& before, HeapSnapshot after);

}  // namespace pprofd

#endif  // DAEMON_AGGREGATE_HEAP_TRACKING_H_
