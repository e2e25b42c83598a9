#include "symbolizer/allocator_names.h"

#include "bpf/abi.h"
#include "daemon/model/allocator_report.h"

namespace pprofd {
namespace {

constexpr AllocatorSets kBothTcmalloc = kGperftools | kTcmalloc;
constexpr AllocatorSets kAll =
    kGlibc | kMusl | kJemalloc | kBothTcmalloc | kMimalloc | kUnknownAllocator;
constexpr AllocatorSets kOwnNew = kJemalloc | kBothTcmalloc | kMimalloc;
constexpr AllocatorSets kOwnDelete = kBothTcmalloc;

constexpr AllocatorName kNames[] = {
    {kToldSampleName, PPROFD_HEAP_TOLD_SAMPLE, kPreload},
    {kToldFreeName, PPROFD_HEAP_TOLD_FREE, kPreload},

    {"malloc", PPROFD_HEAP_MALLOC, kAll},
    {"calloc", PPROFD_HEAP_CALLOC, kAll & ~kMusl},
    {"realloc", PPROFD_HEAP_REALLOC_BLOCK, kGlibc},
    {"realloc", PPROFD_HEAP_REALLOC, kAll & ~kGlibc},
    {"reallocarray", PPROFD_HEAP_REALLOCARRAY, kMimalloc},
    {"reallocf", PPROFD_HEAP_REALLOC, kMimalloc},
    {"memalign", PPROFD_HEAP_ALIGNED_ABOVE, kGlibc},
    {"memalign", PPROFD_HEAP_ALIGNED, kAll & ~kGlibc & ~kMusl},
    {"aligned_alloc", PPROFD_HEAP_ALIGNED_ABOVE, kGlibc},
    {"aligned_alloc", PPROFD_HEAP_ALIGNED, kAll & ~kGlibc},
    {"posix_memalign", PPROFD_HEAP_POSIX_MEMALIGN_ABOVE, kGlibc},
    {"posix_memalign", PPROFD_HEAP_POSIX_MEMALIGN,
     kAll & ~kGlibc & ~kMusl & ~kGperftools},
    {"valloc", PPROFD_HEAP_MALLOC, kGlibc | kJemalloc | kTcmalloc | kMimalloc},
    {"pvalloc", PPROFD_HEAP_MALLOC, kGlibc | kJemalloc | kTcmalloc | kMimalloc},
    {"free", PPROFD_HEAP_FREE, kAll},
    {"cfree", PPROFD_HEAP_FREE, kNoAllocator},
    {"free_sized", PPROFD_HEAP_FREE, kJemalloc | kBothTcmalloc},
    {"free_aligned_sized", PPROFD_HEAP_FREE, kJemalloc | kBothTcmalloc},

    {"mallocx", PPROFD_HEAP_MALLOC, kJemalloc},
    {"rallocx", PPROFD_HEAP_REALLOC, kJemalloc},
    {"dallocx", PPROFD_HEAP_FREE, kJemalloc},
    {"sdallocx", PPROFD_HEAP_FREE, kJemalloc | kTcmalloc},

    // These take the size first.
    {"mi_malloc", PPROFD_HEAP_MALLOC, kMimallocOwn},
    {"mi_zalloc", PPROFD_HEAP_MALLOC, kMimallocOwn},
    {"mi_calloc", PPROFD_HEAP_CALLOC, kMimallocOwn},
    {"mi_malloc_aligned", PPROFD_HEAP_MALLOC, kMimallocOwn},
    {"mi_zalloc_aligned", PPROFD_HEAP_MALLOC, kMimallocOwn},
    {"mi_realloc", PPROFD_HEAP_REALLOC, kMimallocOwn},
    {"mi_realloc_aligned", PPROFD_HEAP_REALLOC, kMimallocOwn},
    {"mi_free", PPROFD_HEAP_FREE, kMimallocOwn},

    // operator new; the aligned ones take the size first, too.
    {"_Znwm", PPROFD_HEAP_NEW, kOwnNew},
    {"_Znam", PPROFD_HEAP_NEW, kOwnNew},
    {"_ZnwmRKSt9nothrow_t", PPROFD_HEAP_MALLOC, kOwnNew},
    {"_ZnamRKSt9nothrow_t", PPROFD_HEAP_MALLOC, kOwnNew},
    {"_ZnwmSt11align_val_t", PPROFD_HEAP_NEW, kBothTcmalloc | kMimalloc},
    {"_ZnamSt11align_val_t", PPROFD_HEAP_NEW, kBothTcmalloc | kMimalloc},
    {"_ZnwmSt11align_val_tRKSt9nothrow_t", PPROFD_HEAP_MALLOC,
     kBothTcmalloc | kMimalloc},
    {"_ZnamSt11align_val_tRKSt9nothrow_t", PPROFD_HEAP_MALLOC,
     kBothTcmalloc | kMimalloc},

    // operator delete.
    {"_ZdlPv", PPROFD_HEAP_FREE, kOwnDelete},
    {"_ZdaPv", PPROFD_HEAP_FREE, kOwnDelete},
    {"_ZdlPvm", PPROFD_HEAP_FREE, kOwnDelete | kJemalloc},
    {"_ZdaPvm", PPROFD_HEAP_FREE, kOwnDelete | kJemalloc},
    {"_ZdlPvRKSt9nothrow_t", PPROFD_HEAP_FREE, kOwnDelete},
    {"_ZdaPvRKSt9nothrow_t", PPROFD_HEAP_FREE, kOwnDelete},
    {"_ZdlPvSt11align_val_t", PPROFD_HEAP_FREE, kOwnDelete},
    {"_ZdaPvSt11align_val_t", PPROFD_HEAP_FREE, kOwnDelete},
    {"_ZdlPvmSt11align_val_t", PPROFD_HEAP_FREE, kOwnDelete},
    {"_ZdaPvmSt11align_val_t", PPROFD_HEAP_FREE, kOwnDelete},
    {"_ZdlPvSt11align_val_tRKSt9nothrow_t", PPROFD_HEAP_FREE, kOwnDelete},
    {"_ZdaPvSt11align_val_tRKSt9nothrow_t", PPROFD_HEAP_FREE, kOwnDelete},
};

// A libc comes last, as a static program has one beside its allocator, and
// musl before glibc, as both have a __libc_malloc.
constexpr AllocatorTell kTells[] = {
    {"mallocx", kJemalloc, false},
    {"TCMallocInternalMalloc", kTcmalloc, true},
    {"tc_malloc", kGperftools, true},
    {"mi_malloc", kMimalloc, true},
    {"__libc_malloc_impl", kMusl, false},
    {"__malloc_alloc_meta", kMusl, false},
    {"__malloc_donate", kMusl, false},
    {"__simple_malloc", kMusl, false},
    {"__dls3", kMusl, false},
    {"gnu_get_libc_version", kGlibc, false},
    {"__libc_malloc", kGlibc, false},
};

}  // namespace

std::span<const AllocatorName> AllocatorNames() { return kNames; }

size_t HeapArgumentCount(uint32_t kind) {
  switch (kind) {
    case PPROFD_HEAP_MALLOC:
    case PPROFD_HEAP_NEW:
    case PPROFD_HEAP_FREE:
    case PPROFD_HEAP_TOLD_FREE:
      return 1;
    case PPROFD_HEAP_CALLOC:
    case PPROFD_HEAP_REALLOC:
    case PPROFD_HEAP_REALLOC_BLOCK:
    case PPROFD_HEAP_ALIGNED:
    case PPROFD_HEAP_ALIGNED_ABOVE:
      return 2;
    case PPROFD_HEAP_REALLOCARRAY:
    case PPROFD_HEAP_POSIX_MEMALIGN:
    case PPROFD_HEAP_POSIX_MEMALIGN_ABOVE:
    case PPROFD_HEAP_TOLD_SAMPLE:
      return 3;
    default:
      return 0;
  }
}

std::string_view FamilyOf(AllocatorSet set) {
  switch (set) {
    case kGlibc:
      return "glibc";
    case kMusl:
      return "musl";
    case kJemalloc:
      return "jemalloc";
    case kGperftools:
    case kTcmalloc:
      return "tcmalloc";
    case kMimalloc:
    case kMimallocOwn:
      return "mimalloc";
    case kUnknownAllocator:
      return "unknown";
    case kPreload:
      return kPreloadFamily;
    case kNoAllocator:
      break;
  }
  return "";
}

std::span<const AllocatorTell> AllocatorTells() { return kTells; }

}  // namespace pprofd
