// CaptureBuffer: the samples of one capture, until its client gets them.
//
// Owns: one window without limits in time. Borrows: nothing.
// Thread: locks itself: mutex_.
// Bound: max_bytes; samples beyond it are lost as CAPTURE_FULL, counted in
//   samples_lost() and shown in Aggregate::lost.
#ifndef DAEMON_AGGREGATE_CAPTURE_BUFFER_H_
#define DAEMON_AGGREGATE_CAPTURE_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "daemon/aggregate/aggregate_fold.h"
#include "daemon/aggregate/window.h"
#include "daemon/model/aggregate.h"

namespace pprofd {

class CaptureBuffer {
 public:
  static constexpr size_t kDefaultMaxBytes = 32 << 20;

  explicit CaptureBuffer(BootTime start, size_t max_bytes = kDefaultMaxBytes);

  void Append(const Sample& sample);
  // Samples of this capture that were lost on their way here.
  void NoteLost(uint32_t reason, int64_t count, BootTime time);

  // All samples and losses so far, up to `end`: those that are taken anyway go
  // on coming. May be asked more than once, with other fields.
  Aggregate Finish(BootTime end, const AggregateFields& fields,
                   int32_t only_tid) const;

  std::vector<ModuleId> ModulesInUse() const;
  std::vector<ProcessKey> Processes() const;
  int64_t samples_lost() const;

 private:
  const BootTime start_;
  mutable std::mutex mutex_;
  Window window_;
  int64_t samples_lost_ = 0;
};

}  // namespace pprofd

#endif  // DAEMON_AGGREGATE_CAPTURE_BUFFER_H_
