#include "daemon/profile/heap_aggregate.h"

#include <algorithm>
#include <cmath>

namespace pprofd {
namespace {

// Towards 0, and to the nearest that there is.
int64_t Truncate(double value) {
  constexpr double kLimit = 0x1p63;
  if (std::isnan(value)) return 0;
  if (value >= kLimit) return INT64_MAX;
  if (value <= -kLimit) return INT64_MIN;
  return static_cast<int64_t>(value);
}

}  // namespace

HeapValues Unsample(double count, uint64_t block_bytes, uint64_t period_bytes) {
  if (count == 0 || block_bytes == 0) return {};
  double block = static_cast<double>(block_bytes);
  double bytes = count * block;
  if (period_bytes <= 1) return {Truncate(count), Truncate(bytes)};
  // expm1: the difference from 1 of what is close to 1 would be rounded away.
  double scale = -1 / std::expm1(-block / static_cast<double>(period_bytes));
  return {Truncate(count * scale), Truncate(bytes * scale)};
}

Aggregate AggregateHeap(const HeapSnapshot& snapshot, HeapScale scale) {
  Aggregate aggregate;
  aggregate.start = aggregate.end = snapshot.time;
  aggregate.stacks = snapshot.stacks;
  for (const HeapRecord& record : snapshot.records) {
    uint64_t period = scale == HeapScale::kUnsampled ? record.period_bytes : 1;
    double count = scale == HeapScale::kUnsampled
                       ? record.weighted_allocs
                       : static_cast<double>(record.allocs);
    HeapValues allocs = Unsample(count, record.block_bytes, period);
    HeapValues inuse =
        Unsample(static_cast<double>(record.inuse), record.block_bytes, period);
    if (allocs == HeapValues() && inuse == HeapValues()) continue;
    aggregate.rows.push_back(
        {.process = snapshot.process,
         .stack = record.stack,
         .block_bytes = static_cast<int64_t>(record.block_bytes),
         .values = {allocs.objects, allocs.bytes, inuse.objects, inuse.bytes}});
    aggregate.samples += record.allocs;
    const std::vector<Frame>& stack = aggregate.stacks[record.stack];
    if (!stack.empty() && stack.back().kind() == FrameKind::kReason) {
      aggregate.truncated += record.allocs;
      aggregate.reasons[stack.back().reason()] += record.allocs;
    } else {
      aggregate.complete += record.allocs;
    }
  }
  return aggregate;
}

HeapFrees FreesBySize(const HeapSnapshot& snapshot) {
  HeapFrees frees;
  if (!snapshot.has_inuse) return frees;
  frees.quality = HeapFrees::Quality::kCounted;
  for (const HeapRecord& record : snapshot.records) {
    HeapFrees::Quality quality = HeapFrees::Quality::kCounted;
    if (record.allocs != record.inuse + record.frees) {
      quality = HeapFrees::Quality::kPartial;
    } else if (record.period_bytes > 1) {
      quality = HeapFrees::Quality::kEstimated;
    }
    frees.quality = std::min(frees.quality, quality);
    HeapValues freed = Unsample(static_cast<double>(record.frees),
                                record.block_bytes, record.period_bytes);
    frees.by_size[pprofd_size_class(record.block_bytes)] +=
        static_cast<uint64_t>(std::max<int64_t>(freed.objects, 0));
  }
  return frees;
}

std::optional<uint64_t> CommonPeriod(const HeapSnapshot& snapshot) {
  std::optional<uint64_t> common;
  for (const HeapRecord& record : snapshot.records) {
    bool is_weighted =
        record.weighted_allocs != static_cast<double>(record.allocs);
    if (is_weighted ||
        common.value_or(record.period_bytes) != record.period_bytes) {
      return std::nullopt;
    }
    common = record.period_bytes;
  }
  return common;
}

}  // namespace pprofd
