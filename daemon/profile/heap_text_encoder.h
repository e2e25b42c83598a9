// HeapTextEncoder: a heap profile as the text of /debug/pprof/heap?debug=1.
//
// What Go prints, so that people and pprof read it alike: a header, a record a
// sample with its frames as comments, Go's runtime.MemStats with the figures of
// a native process, calls by the size of their block, and the executable
// mappings, from which pprof finds files. Allocations by size are counted as
// all calls are; frees by size are known of sampled blocks only, and what they
// are worth is said beside them.
// Thread: pure function.
#ifndef DAEMON_PROFILE_HEAP_TEXT_ENCODER_H_
#define DAEMON_PROFILE_HEAP_TEXT_ENCODER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/model/heap_snapshot.h"
#include "daemon/model/memory_stats.h"
#include "daemon/model/profile.h"
#include "daemon/profile/heap_aggregate.h"

namespace pprofd {

// Every allocation, not what was sampled of them.
struct LiveHeap {
  uint64_t objects = 0;
  uint64_t bytes = 0;  // requested
};

// What stands below the records.
struct HeapTextTrailer {
  std::optional<MemoryStats> memory;  // none: the process is gone
  HeapTotals totals;
  HeapFrees frees;
  std::optional<LiveHeap> live;  // none: not known, memory tells it roughly
  std::string executable_maps;   // lines of /proc/PID/maps
};

// REQUIRES: four values a sample, in the order alloc_objects, alloc_space,
// inuse_objects, inuse_space. pprof unsamples them by `period_bytes`: give 1
// when that was done. Names are printed as the profile has them.
std::string EncodeHeapText(const Profile& profile, uint64_t period_bytes,
                           const HeapTextTrailer& trailer);

}  // namespace pprofd

#endif  // DAEMON_PROFILE_HEAP_TEXT_ENCODER_H_
