#include "daemon/pipeline/preloaded_heap.h"

#include <fmt/format.h>

#include <utility>

#include "daemon/profile/heap_aggregate.h"

namespace pprofd {
namespace {

// PPROFD_DEFAULT_PERIOD of preload/countdown.h.
constexpr uint64_t kDefaultPeriodBytes = 512 << 10;

}  // namespace

void PreloadedHeap::Tend(std::chrono::nanoseconds) {}

void PreloadedHeap::End() {
  if (std::exchange(has_ended_, true)) return;
  probes_.Forget(pid_, tracking_->number());
}

Status PreloadedHeap::SetPeriod(uint64_t) {
  return Status(StatusCode::kInvalid,
                "rate: this process samples by libpprofd_heap.so, whose period "
                "is set when it starts, by PPROFD_HEAP_PERIOD in its "
                "environment");
}

void PreloadedHeap::Describe(HeapSnapshot* snapshot) const {
  snapshot->source = std::string(kPreloadFamily) + ", preloaded";
  snapshot->period_bytes = kDefaultPeriodBytes;
  HeapTotals totals;
  for (const HeapRecord& record : snapshot->records) {
    snapshot->period_bytes = record.period_bytes;
    HeapValues allocs = Unsample(static_cast<double>(record.allocs),
                                 record.block_bytes, record.period_bytes);
    HeapValues inuse = Unsample(static_cast<double>(record.inuse),
                                record.block_bytes, record.period_bytes);
    totals.allocs += static_cast<uint64_t>(allocs.objects);
    totals.allocs_by_size[pprofd_size_class(record.block_bytes)] +=
        static_cast<uint64_t>(allocs.objects);
    totals.alloc_bytes += static_cast<uint64_t>(allocs.bytes);
    totals.frees += static_cast<uint64_t>(allocs.objects - inuse.objects);
  }
  snapshot->totals = totals;
  snapshot->notes.push_back(
      "numbers of all calls are estimated from the samples");
  snapshot->notes.push_back(
      "operator new of an allocator that brings its own (jemalloc, tcmalloc, "
      "mimalloc) is seen with libpprofd_heap_new.so only");
}

}  // namespace pprofd
