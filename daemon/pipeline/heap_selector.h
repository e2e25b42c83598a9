// HeapSelector: begins to track the processes that the configuration selects.
//
// Looks at each process once when it appears, and again when it executes
// another program. One that has not called its allocator yet is asked again.
// Owns: its thread. Borrows: the manager, which outlives it.
// Thread: Start and Stop on one; OnExec from any, at once.
// Bound: processes that are there; those tracked as HeapManager says, the
// others
//   are logged.
#ifndef DAEMON_PIPELINE_HEAP_SELECTOR_H_
#define DAEMON_PIPELINE_HEAP_SELECTOR_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/model/heap_selection.h"
#include "daemon/pipeline/heap_manager.h"

namespace pprofd {

class HeapSelector {
 public:
  HeapSelector(HeapManager& heap, HeapSelection selection)
      : heap_(heap), selection_(std::move(selection)) {}
  ~HeapSelector() { Stop(); }
  HeapSelector(const HeapSelector&) = delete;
  HeapSelector& operator=(const HeapSelector&) = delete;

  // Does nothing when nothing is selected.
  void Start();
  void Stop();
  void OnExec(int32_t pid);

 private:
  void Run();
  // False when this stops.
  bool Wait();
  void FindNew();
  // True when there is nothing left to do for the process.
  bool Try(int32_t pid, int tries);
  void LogRefusal(int32_t pid, const Status& status);

  HeapManager& heap_;
  const HeapSelection selection_;
  std::thread thread_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int32_t> executed_;  // mutex_
  bool stopping_ = false;          // mutex_

  // Its thread:
  std::set<int32_t> seen_;
  std::map<int32_t, int> candidates_;  // and how often each was tried
  std::set<int32_t> tracked_;
  std::chrono::steady_clock::time_point next_log_;
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_HEAP_SELECTOR_H_
