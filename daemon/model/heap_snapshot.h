// HeapSnapshot: the sampled allocations of one process, not yet symbolized.
//
// Blocks are sampled by bytes: one of S bytes is taken with probability
// 1 - exp(-S / period). Counts are of sampled blocks; what they stand for is
// computed when a profile is made (profile/heap_aggregate).
// Thread: value.
#ifndef DAEMON_MODEL_HEAP_SNAPSHOT_H_
#define DAEMON_MODEL_HEAP_SNAPSHOT_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "bpf/heap_sizes.h"
#include "daemon/base/clock.h"
#include "daemon/model/frame.h"
#include "daemon/model/ids.h"

namespace pprofd {

// Sampled blocks of one size, stack and sampling period.
struct HeapRecord {
  uint32_t stack = 0;        // index into HeapSnapshot::stacks
  uint64_t block_bytes = 0;  // requested
  uint64_t period_bytes = 0;
  int64_t allocs = 0;
  int64_t inuse = 0;  // of those, not freed yet; negative in differences
  // Of those, seen to be freed. Fewer than allocs - inuse when some blocks were
  // not followed.
  int64_t frees = 0;
  // What `allocs` stands for when only some windows of time were watched: the
  // sum of (time represented / time watched). Equals `allocs` otherwise.
  double weighted_allocs = 0;
};

// Every call, sampled or not, while probes were attached.
struct HeapTotals {
  uint64_t allocs = 0;
  uint64_t alloc_bytes = 0;  // requested
  uint64_t frees = 0;        // of non-null pointers
  std::array<uint64_t, PPROFD_HEAP_SIZE_CLASSES> allocs_by_size{};
};

struct HeapSnapshot {
  ProcessKey process;
  uint32_t tracking = 0;  // its number
  BootTime since;         // of the tracking, or of the difference
  BootTime time;
  uint64_t period_bytes = 0;  // now
  std::vector<HeapRecord> records;
  std::vector<std::vector<Frame>> stacks;  // leaf first
  HeapTotals totals;
  bool has_inuse = true;  // else frees are not watched
  BootTime inuse_since;   // blocks allocated before are not known
  bool process_exited = false;
  std::string source;  // "uprobes on glibc malloc in /lib/…/libc.so.6"
  std::vector<std::string> notes;  // what was lost, changed or left out
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_HEAP_SNAPSHOT_H_
