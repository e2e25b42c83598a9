#include "daemon/aggregate/capture_buffer.h"

#include <algorithm>

#include "bpf/abi.h"
#include "daemon/model/reason_counts.h"

namespace pprofd {
namespace {

constexpr TimeRange kAllTime{{INT64_MIN}, {INT64_MAX}};

}  // namespace

CaptureBuffer::CaptureBuffer(BootTime start, size_t max_bytes)
    : start_(start), window_(kAllTime, max_bytes) {}

void CaptureBuffer::Append(const Sample& sample) {
  std::lock_guard lock(mutex_);
  if (window_.Append(sample)) return;
  samples_lost_ += sample.count;
  GlobalReasonCounts().Add(PPROFD_REASON_CAPTURE_FULL,
                           static_cast<uint64_t>(sample.count));
  window_.NoteLost(PPROFD_REASON_CAPTURE_FULL, sample.count, sample.time);
}

void CaptureBuffer::NoteLost(uint32_t reason, int64_t count, BootTime time) {
  std::lock_guard lock(mutex_);
  samples_lost_ += count;
  window_.NoteLost(reason, count, time);
}

Aggregate CaptureBuffer::Finish(BootTime end, const AggregateFields& fields,
                                int32_t only_tid) const {
  AggregateFold fold({kAllTime.start, {end.ns + 1}}, {.tid = only_tid}, fields);
  {
    std::lock_guard lock(mutex_);
    fold.Add(window_);
  }
  Aggregate aggregate = std::move(fold).Finish();
  aggregate.start = start_;
  aggregate.end = std::max(start_, end);
  return aggregate;
}

std::vector<ModuleId> CaptureBuffer::ModulesInUse() const {
  std::lock_guard lock(mutex_);
  return window_.Modules();
}

std::vector<ProcessKey> CaptureBuffer::Processes() const {
  std::lock_guard lock(mutex_);
  std::vector<ProcessKey> keys;
  keys.reserve(window_.processes().size());
  for (const Window::Process& process : window_.processes()) {
    keys.push_back(process.key);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

int64_t CaptureBuffer::samples_lost() const {
  std::lock_guard lock(mutex_);
  return samples_lost_;
}

}  // namespace pprofd
