// ProcessTable: ProcessKey -> ProcessInfo, of the living and the lately gone.
//
// Samples and process events feed it without I/O; what only /proc knows is read
// later, by Refresh() on the process thread. A process that left before that
// keeps what its events told: name, program, the mappings its stacks met.
// Owns: all it knows. Borrows: ModuleTable, which must outlive it.
// Thread: locks itself: mutex_, never held during I/O nor while the ModuleTable
//   is asked. OnSample() of a known process does not allocate.
// Bound: max_processes; at the limit a sixteenth goes at once, the longest dead
//   first, then those never sampled, then those not sampled for longest
//   (counter processes_evicted). max_mappings and max_cmdline_bytes over all
//   processes: further mappings are left out (counter process_mappings_cut),
//   further command lines are cut to 256 bytes.
#ifndef DAEMON_PROCESS_PROCESS_TABLE_H_
#define DAEMON_PROCESS_PROCESS_TABLE_H_

#include <absl/container/btree_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/clock.h"
#include "daemon/base/status.h"
#include "daemon/model/process_info.h"
#include "daemon/model/sample.h"
#include "daemon/process/module_table.h"
#include "daemon/process/proc_files.h"
#include "daemon/process/process_mappings.h"

namespace pprofd {

class ProcessTable {
 public:
  struct Options {
    std::string proc_root = kProcRoot;
    size_t max_processes = 32'768;
    size_t max_mappings = 1 << 20;
    size_t max_cmdline_bytes = 32 << 20;
  };
  ProcessTable(const Options& options, ModuleTable* modules);
  ~ProcessTable();
  ProcessTable(const ProcessTable&) = delete;
  ProcessTable& operator=(const ProcessTable&) = delete;

  // True when this made the process wait for a Refresh().
  bool OnSample(const Sample& sample);
  // The same for a program of which no sample may ever come.
  bool OnExec(const ExecEvent& event);
  // A process that was never sampled is forgotten at once.
  void OnExit(const ExitEvent& event);

  // The processes whose /proc files wait to be read; each is named once.
  std::vector<ProcessKey> TakePending();

  // Reads comm, exe, cmdline and executable mappings. Does I/O: a target whose
  // memory is served by userfaultfd can hold the calling thread.
  // Gone: it left, and is marked so. NotFound: it is not in the table. Others:
  // parts could not be read, the rest is there.
  Status Refresh(const ProcessKey& key, BootTime now);

  // Forgets what ended, or was started and never sampled, `horizon_ns` or more
  // before `now`; of the living without a sample for as long makes Refresh()
  // look whether they still are. Returns how many were forgotten.
  size_t Expire(BootTime now, int64_t horizon_ns);

  std::optional<ProcessInfo> Find(const ProcessKey& key) const;
  // The living one, else the one that started last.
  std::optional<ProcessInfo> FindByPid(int32_t pid) const;
  // What is mapped at `address` now, or was last; not what it replaced.
  std::optional<Mapping> FindMapping(const ProcessKey& key,
                                     VirtualAddr address) const;
  // Processes that were sampled, by pid; without `mappings`, which are the
  // bulk.
  std::vector<ProcessInfo> List() const;

  // Adds the modules of all mappings to `modules`, for ModuleTable::Retain().
  void CollectModules(absl::flat_hash_set<ModuleId>* modules) const;

  size_t size() const;

 private:
  struct Process;
  struct Snapshot;
  // By pid, then by start: the processes of one pid are neighbours.
  using Processes = absl::btree_map<ProcessKey, std::unique_ptr<Process>>;

  // What /proc says, read without the lock.
  Snapshot ReadSnapshot(const ProcessDir& dir) const;
  void FindExeByModule(const std::vector<Mapping>& current,
                       ProcessInfo* info) const;

  // REQUIRES: mutex_ is held.
  Process* FindLocked(const ProcessKey& key) const;
  Process* FindOrAdd(const ProcessKey& key, BootTime time);
  void MarkPredecessorsExited(Processes::iterator it, BootTime time);
  bool QueueRefresh(Process* process);
  void AddMapping(const Mapping& mapping, Process* process);
  void SetCmdline(const std::string& cmdline, Process* process);
  void Apply(Snapshot snapshot, BootTime now, Process* process);
  Processes::iterator Erase(Processes::iterator it);
  void EvictSome();

  const Options options_;
  ModuleTable* const modules_;

  mutable std::mutex mutex_;
  Processes processes_;
  std::vector<ProcessKey> pending_;  // at most max_processes
  size_t mapping_count_ = 0;
  size_t cmdline_bytes_ = 0;
};

}  // namespace pprofd

#endif  // DAEMON_PROCESS_PROCESS_TABLE_H_
