#include "symbolizer/range_map.h"

#include <algorithm>
#include <queue>

namespace pprofd {
namespace {
constexpr uint32_t kNothing = UINT32_MAX;
}  // namespace

RangeMap::RangeMap(std::vector<Range> ranges) {
  std::erase_if(ranges, [](const Range& r) { return r.start >= r.end; });
  std::stable_sort(
      ranges.begin(), ranges.end(),
      [](const Range& a, const Range& b) { return a.start < b.start; });
  // Of equal priority, the later range wins.
  auto weaker = [&](size_t a, size_t b) {
    return ranges[a].priority != ranges[b].priority
               ? ranges[a].priority < ranges[b].priority
               : a < b;
  };
  std::priority_queue<size_t, std::vector<size_t>, decltype(weaker)> open(
      weaker);
  // Keeps out what a stronger range covers: it would never be the strongest,
  // and files may have millions of equal ranges.
  auto add = [&](size_t added) {
    while (!open.empty() && weaker(open.top(), added) &&
           ranges[open.top()].end <= ranges[added].end) {
      open.pop();
    }
    bool is_covered = !open.empty() && weaker(added, open.top()) &&
                      ranges[added].end <= ranges[open.top()].end;
    if (!is_covered) open.push(added);
  };
  size_t next = 0;
  uint64_t position = ranges.empty() ? 0 : ranges[0].start;
  while (next < ranges.size() || !open.empty()) {
    while (next < ranges.size() && ranges[next].start <= position) {
      add(next++);
    }
    while (!open.empty() && ranges[open.top()].end <= position) open.pop();
    if (open.empty()) {
      Emit(position, kNothing);
      if (next < ranges.size()) position = ranges[next].start;
      continue;
    }
    const Range& strongest = ranges[open.top()];
    Emit(position, strongest.value);
    position = strongest.end;
    if (next < ranges.size()) {
      position = std::min(position, ranges[next].start);
    }
  }
  starts_.shrink_to_fit();
  values_.shrink_to_fit();
}

void RangeMap::Emit(uint64_t start, uint32_t value) {
  if (!values_.empty() && values_.back() == value) return;
  starts_.push_back(start);
  values_.push_back(value);
}

std::optional<uint32_t> RangeMap::Find(uint64_t address) const {
  auto after = std::upper_bound(starts_.begin(), starts_.end(), address);
  if (after == starts_.begin()) return std::nullopt;
  uint32_t value = values_[after - starts_.begin() - 1];
  if (value == kNothing) return std::nullopt;
  return value;
}

std::vector<RangeMap::Range> RangeMap::Segments() const {
  std::vector<Range> segments;
  for (size_t i = 0; i + 1 < starts_.size(); ++i) {
    if (values_[i] == kNothing) continue;
    segments.push_back({.start = starts_[i],
                        .end = starts_[i + 1],
                        .priority = 0,
                        .value = values_[i]});
  }
  return segments;
}

}  // namespace pprofd
