#include "daemon/base/memory_policy.h"

#include <malloc.h>

namespace pprofd {
namespace {

constexpr int kArenas = 2;
// Fixed, as the default grows with the largest block ever freed.
constexpr int kMmapThresholdBytes = 256 << 10;

}  // namespace

void SetMemoryPolicy() {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, kArenas);
  mallopt(M_MMAP_THRESHOLD, kMmapThresholdBytes);
#endif
}

void ReturnFreeMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace pprofd
