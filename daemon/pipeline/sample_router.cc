#include "daemon/pipeline/sample_router.h"

#include <utility>

#include "daemon/model/reason_counts.h"

namespace pprofd {
namespace {

// The stack stays cut, for another reason than the kernel half saw.
void MarkDeferredFull(Sample& sample) {
  sample.raw.clear();
  sample.reason = PPROFD_REASON_DEFERRED_FULL;
  GlobalReasonCounts().Add(sample.reason);
  if (!sample.stack.empty()) sample.stack.pop_back();
  sample.stack.push_back(Frame::Reason(sample.reason, sample.reason_module));
}

}  // namespace

void SampleRouter::Deliver(const Sample& sample) {
  if (sample.kind == ProfileKind::kHeap) {
    heap_->OnAlloc(sample);
    return;
  }
  bool is_cpu = sample.kind == ProfileKind::kCpu;
  if (sample.is_capture || !is_cpu) parts_.captures.Deliver(sample);
  if (sample.is_capture) return;
  if (is_cpu) parts_.coverage.OnSample(sample);
  parts_.histories.Of(sample.kind).Append(sample);
}

void SampleRouter::OnSample(const Sample& sample) {
  wants_refresh_ |= parts_.processes.OnSample(sample);
  if (sample.kind == ProfileKind::kHeap) heap_->OnAllocSeen(sample);
  if (sample.raw.empty()) {
    Deliver(sample);
    return;
  }
  Sample deferred = sample;
  if (worker_->TryDefer(deferred)) return;
  MarkDeferredFull(deferred);
  Deliver(deferred);
}

void SampleRouter::OnNewModule(NewModuleEvent event) {
  worker_->PostNewModule(std::move(event));
}

void SampleRouter::OnFree(const FreeEvent& event) { heap_->OnFree(event); }

void SampleRouter::OnExec(ExecEvent event) {
  heap_->OnExec(event);
  wants_refresh_ |= parts_.processes.OnExec(event);
}

void SampleRouter::OnExit(ExitEvent event) { parts_.processes.OnExit(event); }

void SampleRouter::OnBatchEnd() {
  if (std::exchange(wants_refresh_, false)) worker_->PostRefresh();
}

}  // namespace pprofd
