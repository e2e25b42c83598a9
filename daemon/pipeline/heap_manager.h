// HeapManager: whose allocations are sampled, how, and for how long.
//
// Tracking by probes begins when somebody asks about a process and ends when
// nobody has for a while, when it exits, or when it executes another program.
// A process that samples by itself (libpprofd_heap.so) is tracked from its
// first sample on, asked for or not, and known for a while after its exit.
// Owns: its thread, trackings and their sources. Borrows: HeapProbes, the
// symbolizer and the clock.
// Thread: any; locks itself. Sources are tended and ended on a thread of its
//   own, which holds no lock while the kernel takes its time.
// Bound: Options::max_processes that are probed, beyond it Exhausted, and as
//   many that sample by themselves, beyond it HEAP_FULL; those that have exited
//   make room.
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
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/aggregate/heap_tracking.h"
#include "daemon/base/clock.h"
#include "daemon/collector/heap_probes.h"
#include "daemon/collector/preload_probes.h"
#include "daemon/model/heap_sink.h"
#include "daemon/model/sample.h"
#include "daemon/pipeline/allocator_finder.h"
#include "daemon/pipeline/heap_source.h"

namespace pprofd {

class HeapManager : public HeapSink {
 public:
  struct Options {
    double budget_cpus = 0.01;  // of one CPU, for each process
    uint64_t period_bytes = 512 << 10;
    size_t max_processes = 64;        // probed, and as many again preloaded
    size_t max_live_blocks = 65'536;  // of a process; then the period doubles
    // 0: probes are in place only while a request waits.
    std::chrono::nanoseconds idle_time = std::chrono::minutes(5);
    // Where libpprofd_heap.so is installed; looked at again and again, as it
    // may come later.
    std::vector<std::string> preload_paths;
    int64_t history_ns = 600'000'000'000;
  };

  struct Parts {
    HeapProbes& probes;
    PreloadProbes& preload;
    SymbolizerClient& symbolizer;
    const Clock& clock;
    // Returns when what was sampled before has been delivered.
    std::function<void()> drain;
    // Events that the kernel half could not send, of any process, so far.
    std::function<uint64_t()> count_losses;
    // A process runs another program.
    std::function<void(int32_t pid)> on_exec;
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
  // As if somebody had asked; false when it is not tracked any more.
  bool KeepTracking(int32_t pid) const;
  // 0 when it is not tracked.
  size_t CountRecords(int32_t pid) const;

  // HeapSink:
  void OnAllocSeen(const Sample& sample) override;
  void OnAlloc(const Sample& sample) override;
  void OnFree(const FreeEvent& event) override;
  void OnExec(const ExecEvent& event) override;

  std::vector<ModuleId> ModulesInUse() const;

 private:
  Result<SessionRef> Begin(int32_t pid, uint64_t period_bytes);
  Status FeedByProbes(Session& session, FoundAllocators found,
                      uint64_t period_bytes);
  // By its first sample.
  void AdmitPreloaded(const Sample& sample);
  void FollowLibraries();
  void SweepPreloaded();
  SessionRef FindSession(int32_t pid) const;
  // All: REQUIRES mutex_.
  void Retire(const SessionRef& session);
  void ForgetEnded();
  // For a process of that sort.
  bool MakeRoom(int32_t pid, bool is_preloaded);
  void Enlist(const SessionRef& session);
  std::shared_ptr<HeapTracking> FindTracking(uint32_t number) const;
  void Run();
  std::vector<SessionRef> Sessions() const;
  void RetireIdle(std::chrono::steady_clock::time_point now);
  std::vector<SessionRef> TakeRetired();
  // True when `time` passed, false when this stops.
  bool WaitFor(std::chrono::nanoseconds time);
  void Describe(const Session& session, HeapSnapshot* snapshot) const;
  const Parts parts_;
  const AllocatorFinder finder_;
  const Options options_;
  std::thread thread_;

  std::mutex begin_mutex_;       // one process begins at a time
  std::string library_problem_;  // heap thread: the last that was logged

  mutable std::mutex mutex_;
  std::condition_variable stopped_;
  // Guarded by mutex_:
  std::map<int32_t, SessionRef> sessions_;                       // by pid
  std::map<uint32_t, std::shared_ptr<HeapTracking>> trackings_;  // by number
  std::vector<SessionRef> retired_;  // whose probes are to be taken out
  uint32_t last_number_ = 0;
  std::optional<BootTime> preload_since_;  // when the first library got probes
  bool stopping_ = false;
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_HEAP_MANAGER_H_
