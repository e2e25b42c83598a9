#include "daemon/model/profile_kind.h"

namespace pprofd {
namespace {

constexpr ValueType kCpuTypes[] = {{"samples", "count"},
                                   {"cpu", "nanoseconds"}};
constexpr ValueType kHeapTypes[] = {{"alloc_objects", "count"},
                                    {"alloc_space", "bytes"},
                                    {"inuse_objects", "count"},
                                    {"inuse_space", "bytes"}};

// The allocators' own entry points, so that their caller leads.
constexpr std::string_view kAllocatorFrames =
    "((__libc|__rjem|_rjem|je|mi|tc)_)?"
    "(malloc|calloc|realloc|reallocarray|memalign|aligned_alloc|"
    "posix_memalign|p?valloc|strn?dup|mallocx|rallocx)"
    "|operator new(\\[\\])?"
    "|__(rust|rdl|rg)_(alloc|alloc_zeroed|realloc)";

// In the order of ProfileKind.
constexpr ProfileKindInfo kKinds[] = {
    {"profile", kCpuTypes, {"cpu", "nanoseconds"}, "", ""},
    {"heap", kHeapTypes, {"space", "bytes"}, "", kAllocatorFrames},
    {"allocs", kHeapTypes, {"space", "bytes"}, "alloc_space", kAllocatorFrames},
};
static_assert(std::size(kKinds) == kProfileKinds);

}  // namespace

const ProfileKindInfo& Describe(ProfileKind kind) {
  return kKinds[static_cast<size_t>(kind)];
}

}  // namespace pprofd
