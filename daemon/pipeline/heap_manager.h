// HeapManager: whose allocations are sampled, how, and for how long.
//
// Tracking begins when somebody asks about a process and ends when nobody has
// for a while, when it exits, or when it executes another program. Each call of
// an allocator costs the target a trap, so the calls are counted and what they
// cost is held against a budget: while it lasts, every call is watched; when it
// is spent, allocations only, in short windows as far apart as the budget asks
// for, until the process has become slow enough. Too many sampled blocks double
// the sampling period. Profiles say all of this.
// Owns: its thread, trackings and probes. Borrows: HeapProbes, the symbolizer
// and the clock.
// Thread: any; locks itself (mutex_ for the tables, a Session's own mutex for
//   what profiles say of it). Probes are attached anew and taken out on a
//   thread of its own, which holds no lock while the kernel takes its time.
// Bound: Options::max_processes, beyond it Exhausted.
// Fails: NotFound (no such process), Unsupported with what is missing.
#ifndef DAEMON_PIPELINE_HEAP_MANAGER_H_
#define DAEMON_PIPELINE_HEAP_MANAGER_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "daemon/aggregate/heap_tracking.h"
#include "daemon/base/clock.h"
#include "daemon/collector/heap_probes.h"
#include "daemon/model/heap_sink.h"
#include "daemon/model/sample.h"
#include "daemon/pipeline/allocator_finder.h"
#include "daemon/pipeline/heap_budget.h"

namespace pprofd {

class HeapManager : public HeapSink {
 public:
  struct Options {
    double budget_cpus = 0.01;  // of one CPU, for each process
    uint64_t period_bytes = 512 << 10;
    size_t max_processes = 64;
    size_t max_live_blocks = 65'536;  // of a process; then the period doubles
    std::chrono::nanoseconds idle_time = std::chrono::minutes(5);
    int64_t history_ns = 600'000'000'000;
  };

  struct Parts {
    HeapProbes& probes;
    SymbolizerClient& symbolizer;
    const Clock& clock;
    // Returns when what was sampled before has been delivered.
    std::function<void()> drain;
    // Events that the kernel half could not send, of any process, so far.
    std::function<uint64_t()> count_losses;
  };
  HeapManager(Parts parts, const Options& options);
  ~HeapManager() override { Stop(); }
  HeapManager(const HeapManager&) = delete;
  HeapManager& operator=(const HeapManager&) = delete;

  void Start();
  void Stop();

  // A process that is tracked until nobody has asked about it for a while;
  // asking whether it has exited counts.
  class Session;
  using SessionRef = std::shared_ptr<Session>;

  // Begins to track the process unless it is. `period_bytes`: 0 = as it is, or
  // the default. Blocks: some 100 ms at the first time.
  Result<SessionRef> Watch(int32_t pid, uint64_t period_bytes, bool* is_new);
  HeapSnapshot Snapshot(Session& session) const;
  HeapSnapshot Between(Session& session, BootTime from, BootTime to) const;
  bool HasExited(const Session& session) const;
  // 0 when it is not tracked.
  size_t CountRecords(int32_t pid) const;

  // HeapSink:
  void OnAlloc(const Sample& sample) override;
  void OnFree(const FreeEvent& event) override;
  void OnExec(const ExecEvent& event) override;

  std::vector<ModuleId> ModulesInUse() const;

 private:
  Result<SessionRef> Begin(int32_t pid, uint64_t period_bytes);
  SessionRef FindSession(int32_t pid) const;
  // Both: REQUIRES mutex_.
  void Retire(const SessionRef& session);
  void ForgetEnded();
  std::shared_ptr<HeapTracking> FindTracking(uint32_t number) const;
  void Run();
  std::vector<SessionRef> Sessions() const;
  void RetireIdle(std::chrono::steady_clock::time_point now);
  std::vector<SessionRef> TakeRetired();
  // True when `time` passed, false when this stops.
  bool WaitFor(std::chrono::nanoseconds time);
  void Describe(const Session& session, HeapSnapshot* snapshot) const;
  // All below: on the heap thread.
  void Tend(Session& session, std::chrono::nanoseconds elapsed);
  static std::chrono::nanoseconds CostSoFar(Session& session, int others);
  static void NoteProblem(Session& session, const Status& status);
  void BookHits(Session& session, std::chrono::nanoseconds elapsed) const;
  void WatchWindow(Session& session);
  void RenewAfterFork(Session& session) const;
  void GoOverToWindows(Session& session, std::chrono::nanoseconds gap) const;
  void GoBackToAll(Session& session) const;
  void LimitSamples(Session& session) const;
  void EndProbes(Session& session) const;

  const Parts parts_;
  const AllocatorFinder finder_;
  const Options options_;
  std::thread thread_;

  std::mutex begin_mutex_;  // one process begins at a time

  mutable std::mutex mutex_;
  std::condition_variable stopped_;
  // Guarded by mutex_:
  std::map<int32_t, SessionRef> sessions_;                       // by pid
  std::map<uint32_t, std::shared_ptr<HeapTracking>> trackings_;  // by number
  std::vector<SessionRef> retired_;  // whose probes are to be taken out
  uint32_t last_number_ = 0;
  bool stopping_ = false;
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_HEAP_MANAGER_H_
