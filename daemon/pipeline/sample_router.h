// SampleRouter: takes decoded events from the reader to where they belong.
//
// A finished sample of CPU time goes to history (always on) or to the waiting
// queries (captures), never to both, so nothing is counted twice; one of
// another kind goes to its history and to the queries that wait for it. A
// sample with a copied stack goes to the process thread first and comes back
// through Deliver(). When that queue is full the sample stays as it is:
// truncated. Borrows: all of its parts. Thread: EventSink methods on the reader
// thread; Deliver on any.
#ifndef DAEMON_PIPELINE_SAMPLE_ROUTER_H_
#define DAEMON_PIPELINE_SAMPLE_ROUTER_H_

#include "daemon/aggregate/histories.h"
#include "daemon/model/event_sink.h"
#include "daemon/model/heap_sink.h"
#include "daemon/pipeline/capture_registry.h"
#include "daemon/pipeline/coverage_table.h"
#include "daemon/pipeline/process_worker.h"
#include "daemon/process/process_table.h"

namespace pprofd {

class SampleRouter : public EventSink {
 public:
  struct Parts {
    Histories& histories;
    CaptureRegistry& captures;
    CoverageTable& coverage;
    ProcessTable& processes;
  };
  explicit SampleRouter(const Parts& parts) : parts_(parts) {}
  // REQUIRES, for both: called before the reader starts.
  void SetWorker(ProcessWorker* worker) { worker_ = worker; }
  void SetHeap(HeapSink* heap) { heap_ = heap; }

  // A sample whose stack is final.
  void Deliver(const Sample& sample);

  // EventSink:
  void OnSample(const Sample& sample) override;
  void OnNewModule(NewModuleEvent event) override;
  void OnFree(const FreeEvent& event) override;
  void OnExec(ExecEvent event) override;
  void OnExit(ExitEvent event) override;
  void OnBatchEnd() override;

 private:
  const Parts parts_;
  ProcessWorker* worker_ = nullptr;
  HeapSink* heap_ = nullptr;
  bool wants_refresh_ = false;  // reader thread only
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_SAMPLE_ROUTER_H_
