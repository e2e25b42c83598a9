// HeapAggregate: what sampled blocks stand for, as rows of an aggregate.
//
// A block of S bytes is sampled with probability 1 - exp(-S / period), so each
// one sampled stands for the inverse of it, as Go and pprof compute it.
// Thread: pure functions.
#ifndef DAEMON_PROFILE_HEAP_AGGREGATE_H_
#define DAEMON_PROFILE_HEAP_AGGREGATE_H_

#include <array>
#include <cstdint>
#include <optional>

#include "bpf/heap_sizes.h"
#include "daemon/model/aggregate.h"
#include "daemon/model/heap_snapshot.h"

namespace pprofd {

struct HeapValues {
  int64_t objects = 0;
  int64_t bytes = 0;

  bool operator==(const HeapValues&) const = default;
};

// `count` sampled blocks of `block_bytes` each, scaled and cut to whole
// numbers; of a difference the count may be negative. A period up to 1 means
// that every block was sampled. Blocks of no bytes are never sampled: none.
HeapValues Unsample(double count, uint64_t block_bytes, uint64_t period_bytes);

enum class HeapScale { kUnsampled, kAsSampled };

// One row for each stack and size of block, with the values of ProfileKind
// kHeap; rows without any are left out. Of no length in time.
Aggregate AggregateHeap(const HeapSnapshot& snapshot, HeapScale scale);

// The period of all records, when all allocations were watched: then values as
// sampled, and this, tell everything.
std::optional<uint64_t> CommonPeriod(const HeapSnapshot& snapshot);

// How many blocks of each size were freed, as far as samples tell.
struct HeapFrees {
  enum class Quality {
    kUnknown,    // frees are not watched
    kPartial,    // some sampled blocks were not followed: too few
    kEstimated,  // from sampled blocks
    kCounted,    // every block was sampled
  };
  Quality quality = Quality::kUnknown;
  // By class of bpf/heap_sizes.h; without blocks of no bytes.
  std::array<uint64_t, PPROFD_HEAP_SIZE_CLASSES> by_size{};
};
HeapFrees FreesBySize(const HeapSnapshot& snapshot);

}  // namespace pprofd

#endif  // DAEMON_PROFILE_HEAP_AGGREGATE_H_
