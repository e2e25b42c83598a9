// ProcessWorker: the process thread: opens files, builds and loads unwind
// tables, reads /proc, finishes deferred stacks, keeps house.
//
// Files are read by a symbolizer, of which this is the only user. A file is
// read when a deferred sample needs it, the others when nothing else is to be
// done: at the start, hundreds are announced, and only some of them are at
// work. A sample that meets a module announced behind it (a mapping that a
// later sample has shown) goes to the end of the queue, once.
// Owns: the thread, TableLoader, announced files. Borrows: the rest.
// Thread: Start and Stop on one thread; Post… and Flush from any.
// Bound: kMaxJobs in the queue, kMaxDeferred of them copied stacks; kMaxJobs
//   modules to be read. A new module that finds no room is forgotten in the
//   kernel half and asks again.
#ifndef DAEMON_PIPELINE_PROCESS_WORKER_H_
#define DAEMON_PIPELINE_PROCESS_WORKER_H_

#include <absl/container/flat_hash_set.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "daemon/base/bounded_queue.h"
#include "daemon/base/clock.h"
#include "daemon/model/map_writer.h"
#include "daemon/model/sample.h"
#include "daemon/process/module_table.h"
#include "daemon/process/proc_maps.h"
#include "daemon/process/process_table.h"
#include "daemon/symbolizer_client/symbolizer_client.h"
#include "daemon/unwind/stack_unwinder.h"
#include "daemon/unwind/table_loader.h"

namespace pprofd {

class ProcessWorker {
 public:
  static constexpr size_t kMaxJobs = 16'384;
  static constexpr size_t kMaxDeferred = 1'024;

  struct Parts {
    MapWriter& maps;
    ModuleTable& modules;
    ProcessTable& processes;
    SymbolizerClient& symbolizer;
    const Clock& clock;
    // A deferred sample is final. Process thread.
    std::function<void(const Sample&)> deliver;
    // Every second: what is not the worker's own to do. Process thread.
    std::function<void()> keep_house;
    // A fresh module number, never used again.
    std::function<ModuleId()> take_number;
    // Modules that history and captures name.
    std::function<absl::flat_hash_set<ModuleId>()> modules_in_use;
  };
  ProcessWorker(const Parts& parts, const TableLoader::Options& options);
  ~ProcessWorker() { Stop(); }
  ProcessWorker(const ProcessWorker&) = delete;
  ProcessWorker& operator=(const ProcessWorker&) = delete;

  void Start();
  void Stop();

  void PostNewModule(NewModuleEvent event);
  // Processes wait in the process table to be read.
  void PostRefresh();
  // Takes the sample unless it returns false.
  [[nodiscard]] bool TryDefer(Sample& sample);
  // What the unwind maps hold of these modules, in their order, once all that
  // was posted before is done; nothing at the deadline.
  std::optional<std::vector<TableLoader::FileState>> Inspect(
      std::vector<ModuleRef> modules,
      std::chrono::steady_clock::time_point deadline);
  // Waits until all that was posted before is done; false at the deadline.
  bool Flush(std::chrono::steady_clock::time_point deadline);

 private:
  struct RefreshJob {};
  struct FlushJob {
    uint64_t number = 0;
  };
  struct DeferredSample {
    Sample sample;
    bool was_early = false;  // some module was still to come
  };
  struct Inspection {
    std::vector<ModuleRef> modules;
    // Guarded by flush_mutex_:
    std::vector<TableLoader::FileState> states;
    bool is_done = false;
  };
  using InspectJob = std::shared_ptr<Inspection>;
  using Job = std::variant<NewModuleEvent, DeferredSample, RefreshJob, FlushJob,
                           InspectJob>;
  // A file that was announced: open, since who maps it may be gone soon.
  struct UnreadModule {
    Module module;
    ProcessKey process;  // that was seen to map it
  };
  // A job for when no module up to `last` is left to be read.
  struct Waiting {
    ModuleId last = ModuleId::kNone;
    std::variant<FlushJob, InspectJob> job;
  };

  void Run();
  void KeepHouse();
  void ReadNext();
  // False when it does not wait to be read.
  bool ReadNow(ModuleId id);
  void Read(UnreadModule unread);
  void Await(std::variant<FlushJob, InspectJob> job);
  void DoWaiting();
  void Finish(FlushJob& job);
  void Finish(InspectJob& job);
  void Do(NewModuleEvent& event);
  void Do(DeferredSample& job);
  void Do(RefreshJob&);
  void Do(FlushJob& job);
  void Do(InspectJob& job);
  ModuleRef Add(Module module, BuildId* table_identity);
  void LoadTable(const Module& module, const BuildId& identity);
  void LoadVdso();
  // Once more when the symbolizer was lost: it may not have been the file's
  // fault.
  Result<UnwindTable> BuildTable(int file);
  std::vector<Mapping> KnownMappings(const Sample& sample) const;
  // With the modules it meets on its way read; *is_early: one of them has not
  // been announced yet.
  UnwoundStack Walk(const Sample& sample, bool* is_early);
  void Finish(UnwoundStack stack, Sample& sample);
  // What is found out while one copied stack is unwound.
  struct Finds {
    std::optional<ProcMaps> maps;  // read when first needed
    // Files nobody has numbered before. The symbolizer, which is at work, can
    // describe them only afterwards.
    std::deque<Module> modules;
    std::vector<ModuleId> unread;  // met, and not known yet
  };
  Result<UnwoundStack> WalkOnce(const Sample& sample, Finds* finds);
  std::optional<Mapping> FindMapping(const Sample& sample, VirtualAddr address,
                                     Finds* finds);
  ModuleId NameModule(const ProcessKey& key, const Mapping& mapping,
                      Finds* finds);
  ModuleRef FindModule(ModuleId id, Finds* finds) const;

  const Parts parts_;
  BoundedQueue<Job> jobs_{kMaxJobs};
  std::thread thread_;
  std::atomic<size_t> deferred_{0};  // samples in jobs_

  // Process thread:
  TableLoader loader_;
  std::map<ModuleId, UnreadModule> unread_;  // numbers ascend with time
  std::deque<Waiting> waiting_;
  std::chrono::steady_clock::time_point next_housekeeping_{};
  std::chrono::steady_clock::time_point next_epoch_{};

  std::mutex flush_mutex_;
  std::condition_variable flushed_;
  // Guarded by flush_mutex_:
  uint64_t flushes_wanted_ = 0;
  uint64_t flushes_done_ = 0;
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_PROCESS_WORKER_H_
