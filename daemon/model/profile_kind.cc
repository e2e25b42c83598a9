#include "daemon/model/profile_kind.h"

namespace pprofd {
namespace {

constexpr ValueType kCpuTypes[] = {{"samples", "count"},
                                   {"cpu", "nanoseconds"}};
constexpr ValueType kRssTypes[] = {{"faults", "count"}, {"rss", "bytes"}};
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
    {"profile", kCpuTypes, {"cpu", "nanoseconds"}, "", "", 3},
    {"heap", kHeapTypes, {"space", "bytes"}, "", kAllocatorFrames, 0},
    {"allocs",
     kHeapTypes,
     {"space", "bytes"},
     "alloc_space",
     kAllocatorFrames,
     0},
    {"rss", kRssTypes, {"rss", "bytes"}, "", "", 1},
};
static_assert(std::size(kKinds) == kProfileKinds);

constexpr ProfileKind kAll[] = {ProfileKind::kCpu, ProfileKind::kHeap,
                                ProfileKind::kAllocs, ProfileKind::kRss};
static_assert(std::size(kAll) == kProfileKinds);

}  // namespace

const ProfileKindInfo& Describe(ProfileKind kind) {
  return kKinds[static_cast<size_t>(kind)];
}

std::span<const ProfileKind> ProfileKinds() { return kAll; }

}  // namespace pprofd
