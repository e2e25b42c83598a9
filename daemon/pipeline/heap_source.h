// HeapSource: what feeds the HeapTracking of one process.
//
// Thread: Tend and End on the heap thread, the others on any.
#ifndef DAEMON_PIPELINE_HEAP_SOURCE_H_
#define DAEMON_PIPELINE_HEAP_SOURCE_H_

#include <chrono>
#include <cstdint>

#include "daemon/base/status.h"
#include "daemon/model/heap_snapshot.h"

namespace pprofd {

class HeapSource {
 public:
  virtual ~HeapSource() = default;

  // Called about ten times a second, `elapsed` after the last time. May wait
  // for the kernel.
  virtual void Tend(std::chrono::nanoseconds elapsed) = 0;
  // Nothing comes any more; what stands in the kernel half is removed.
  virtual void End() = 0;

  // Mean bytes between samples from now on.
  virtual Status SetPeriod(uint64_t period_bytes) = 0;
  // Adds the source, its period and totals, and what is to be said of it.
  virtual void Describe(HeapSnapshot* snapshot) const = 0;
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_HEAP_SOURCE_H_
