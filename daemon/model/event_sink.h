// EventSink: where decoded events go; how the collector meets the stages behind
// it without including them.
//
// Thread: the reader thread calls; implementations hand over and return.
#ifndef DAEMON_MODEL_EVENT_SINK_H_
#define DAEMON_MODEL_EVENT_SINK_H_

#include "daemon/model/sample.h"

namespace pprofd {

class EventSink {
 public:
  virtual ~EventSink() = default;

  // `sample` is reused for the next event: copy what must stay.
  virtual void OnSample(const Sample& sample) = 0;
  virtual void OnNewModule(NewModuleEvent event) = 0;
  virtual void OnFree(const FreeEvent& event) = 0;
  virtual void OnExec(ExecEvent event) = 0;
  virtual void OnExit(ExitEvent event) = 0;
  // All that was in the ring has been delivered.
  virtual void OnBatchEnd() = 0;
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_EVENT_SINK_H_
