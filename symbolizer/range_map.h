// RangeMap: address → the most specific of possibly nested ranges.
//
// Ranges are flattened into disjoint segments once, so that a look-up is one
// binary search; 12 bytes a segment. Where ranges overlap the higher priority
// wins: depth for inlined calls, age for symbols of a JIT compiler.
// Thread: immutable once built.
// Bound: at most 2n + 1 segments from n ranges.
#ifndef SYMBOLIZER_RANGE_MAP_H_
#define SYMBOLIZER_RANGE_MAP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace pprofd {

class RangeMap {
 public:
  struct Range {
    uint64_t start = 0;
    uint64_t end = 0;  // exclusive
    uint32_t priority = 0;
    uint32_t value = 0;  // less than UINT32_MAX
  };

  RangeMap() = default;
  // Empty ranges are left out.
  explicit RangeMap(std::vector<Range> ranges);

  std::optional<uint32_t> Find(uint64_t address) const;
  // The disjoint segments, by address.
  std::vector<Range> Segments() const;

  bool empty() const { return starts_.empty(); }
  size_t bytes() const {
    return starts_.capacity() * sizeof(uint64_t) +
           values_.capacity() * sizeof(uint32_t);
  }

 private:
  void Emit(uint64_t start, uint32_t value);

  std::vector<uint64_t> starts_;  // ascending; a segment ends where the next
  std::vector<uint32_t> values_;  // starts. UINT32_MAX: nothing there
};

}  // namespace pprofd

#endif  // SYMBOLIZER_RANGE_MAP_H_
