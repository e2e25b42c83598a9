// PreloadedHeap: a process that samples its allocations itself, by
// libpprofd_heap.so.
//
// Nothing is to be done for it: every call has been counted down since the
// library was loaded, and what it tells costs it next to nothing.
// Borrows: PreloadProbes, which outlives it. Shares: the tracking.
// Thread: as HeapSource says.
#ifndef DAEMON_PIPELINE_PRELOADED_HEAP_H_
#define DAEMON_PIPELINE_PRELOADED_HEAP_H_

#include <cstdint>
#include <memory>

#include "daemon/aggregate/heap_tracking.h"
#include "daemon/collector/preload_probes.h"
#include "daemon/pipeline/heap_source.h"

namespace pprofd {

class PreloadedHeap : public HeapSource {
 public:
  PreloadedHeap(PreloadProbes& probes, int32_t pid,
                std::shared_ptr<HeapTracking> tracking)
      : probes_(probes), pid_(pid), tracking_(std::move(tracking)) {}

  // HeapSource:
  void Tend(std::chrono::nanoseconds elapsed) override;
  void End() override;
  Status SetPeriod(uint64_t period_bytes) override;
  void Describe(HeapSnapshot* snapshot) const override;

 private:
  PreloadProbes& probes_;
  const int32_t pid_;
  const std::shared_ptr<HeapTracking> tracking_;
  bool has_ended_ = false;  // heap thread
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_PRELOADED_HEAP_H_
