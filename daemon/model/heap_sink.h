// HeapSink: where sampled blocks and their frees go.
//
// Thread: the reader thread calls, and the process thread for samples that it
// finished.
#ifndef DAEMON_MODEL_HEAP_SINK_H_
#define DAEMON_MODEL_HEAP_SINK_H_

#include "daemon/model/sample.h"

namespace pprofd {

class HeapSink {
 public:
  virtual ~HeapSink() = default;

  // A sample of kind kHeap has come, in the order of events: its stack may not
  // be final yet.
  virtual void OnAllocSeen(const Sample& sample) = 0;
  // Its stack is final.
  virtual void OnAlloc(const Sample& sample) = 0;
  virtual void OnFree(const FreeEvent& event) = 0;
  // The process runs another program: it has none of its blocks any more.
  virtual void OnExec(const ExecEvent& event) = 0;
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_HEAP_SINK_H_
