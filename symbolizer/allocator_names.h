// AllocatorNames: which functions of which allocator are to be probed, so that
// each allocation is seen exactly once.
//
// What is not in an allocator's set goes through something that is, as measured
// with the versions of Debian 12. That some memory is given back twice (a free
// within realloc) does no harm.
// Thread: immutable data.
#ifndef SYMBOLIZER_ALLOCATOR_NAMES_H_
#define SYMBOLIZER_ALLOCATOR_NAMES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pprofd {

// Bits.
using AllocatorSets = uint32_t;
enum AllocatorSet : AllocatorSets {
  kNoAllocator = 0,
  kGlibc = 1 << 0,
  kMusl = 1 << 1,
  kJemalloc = 1 << 2,
  kGperftools = 1 << 3,
  kTcmalloc = 1 << 4,  // Google's other one
  kMimalloc = 1 << 5,
  kMimallocOwn = 1 << 6,  // by names of its own beside another malloc
  kUnknownAllocator = 1 << 7,
  kPreload = 1 << 8,  // no allocator, but what tells of one: libpprofd_heap.so
};

struct AllocatorName {
  std::string_view name;
  uint32_t kind;       // PPROFD_HEAP_*
  AllocatorSets sets;  // that probe it; 0: known as a slot only
};

// Of several names for one function the first counts. A name may come twice.
std::span<const AllocatorName> AllocatorNames();

// Of the library that samples by itself.
inline constexpr std::string_view kToldSampleName = "pprofd_heap_sampled";
inline constexpr std::string_view kToldFreeName = "pprofd_heap_freed";

// How many arguments a kind reads; 0: no such kind.
size_t HeapArgumentCount(uint32_t kind);

std::string_view FamilyOf(AllocatorSet set);

// A name that only one allocator defines.
struct AllocatorTell {
  std::string_view name;
  AllocatorSet set;
  bool is_malloc;  // only if malloc is the same function
};
// The first that is found tells.
std::span<const AllocatorTell> AllocatorTells();

}  // namespace pprofd

#endif  // SYMBOLIZER_ALLOCATOR_NAMES_H_
