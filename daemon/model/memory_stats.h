// MemoryStats: how much memory a process has, as the kernel counts it.
//
// The figures of Go's runtime.MemStats that /proc knows, in bytes; sys =
// heap_sys + stack_sys + other_sys.
// Thread: value.
#ifndef DAEMON_MODEL_MEMORY_STATS_H_
#define DAEMON_MODEL_MEMORY_STATS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace pprofd {

// One more figure under the kernel's own name: {"VmRSS", 4096}.
struct MemoryFigure {
  std::string name;
  uint64_t value = 0;  // bytes, or a count where the name is of one
};

struct MemoryStats {
  uint64_t sys = 0;
  uint64_t heap_sys = 0;    // writable private memory of no file, no stack
  uint64_t heap_inuse = 0;  // of it, resident or swapped out
  uint64_t stack_sys = 0;
  uint64_t stack_inuse = 0;  // resident
  uint64_t other_sys = 0;
  uint64_t max_rss = 0;
  bool is_cut = false;  // mappings beyond a bound are part of other_sys
  std::vector<MemoryFigure> figures;  // those that this kernel tells, in order
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_MEMORY_STATS_H_
