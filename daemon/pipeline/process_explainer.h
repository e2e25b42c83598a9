// ProcessExplainer: gathers a ProcessExplanation from all who know a part.
//
// The process's own maps say which files it has mapped executable; the process
// thread, what tables the kernel half has of them; the symbolizer, where their
// names come from. A file that no sample has met is opened and examined for
// this answer alone, and nothing of it is kept.
// Borrows: every part; all outlive it.
// Thread: any; keeps no state. Does I/O on files of targets: belongs on a
//   worker.
// Bound: kMaxModules files, most samples first; kTime for examining them and
//   kPackageTime for packages, after which the rest is said to be not known.
// Fails: NotFound when pid is neither alive nor in history.
#ifndef DAEMON_PIPELINE_PROCESS_EXPLAINER_H_
#define DAEMON_PIPELINE_PROCESS_EXPLAINER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/aggregate/history.h"
#include "daemon/base/clock.h"
#include "daemon/debuginfod/debuginfod_client.h"
#include "daemon/model/process_explanation.h"
#include "daemon/pipeline/process_worker.h"
#include "daemon/process/module_table.h"
#include "daemon/process/proc_files.h"
#include "daemon/process/process_table.h"
#include "daemon/symbolizer_client/symbolizer_client.h"
#include "symbolizer/kernel_symbols.h"

namespace pprofd {

class ProcessExplainer {
 public:
  static constexpr size_t kMaxModules = 256;
  static constexpr size_t kMaxCuts = 64;
  static constexpr size_t kMaxSharers = 8;
  static constexpr std::chrono::milliseconds kTime{6000};
  static constexpr std::chrono::milliseconds kPackageTime{2000};

  struct Parts {
    ProcessWorker& worker;
    History& history;
    ModuleTable& modules;
    ProcessTable& processes;
    SymbolizerClient& symbolizer;
    KernelSymbols& kernel;
    const Clock& clock;
    const DebuginfodClient* debuginfod;  // null: off
  };
  explicit ProcessExplainer(const Parts& parts) : parts_(parts) {}

  Result<ProcessExplanation> Explain(int32_t pid) const;

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  // Path and inode: a file may have several module numbers.
  using FileName = std::pair<std::string, uint64_t>;
  using FileNames = std::map<ModuleId, FileName>;
  using CutCounts = std::map<std::pair<uint32_t, FileName>, uint64_t>;
  // An executable file of the process.
  struct Candidate {
    ModuleId id = ModuleId::kNone;  // kNone: not in the module table
    ProcMapping line;
    uint64_t samples = 0;
    uint64_t cut_samples = 0;
  };
  struct Found {
    ModuleRef module;
    bool is_known = false;  // to the module table
    bool is_deleted = false;
    uint64_t samples = 0;
    uint64_t cut_samples = 0;
  };
  // What the samples of the process tell.
  struct Sampled {
    StackFacts stacks;
    std::map<FileName, uint64_t> through;       // samples
    std::map<FileName, uint64_t> without_rows;  // those cut for want of rows
    std::set<ModuleId> modules;
    uint64_t through_jit = 0;
  };

  void ExplainLiving(const ProcessDir& process, const Sampled& sampled,
                     ProcessExplanation* explanation) const;
  void ExplainHeap(const ProcessDir& process, Deadline deadline,
                   HeapFacts* heap) const;
  Sampled ReadHistory(const ProcessKey& key) const;
  const FileName& NameOf(ModuleId id, FileNames* names) const;
  // Sorted by samples; what is beyond kMaxModules is only counted.
  std::vector<Candidate> ListFiles(const ProcMaps& maps,
                                   const std::string& root_path,
                                   const Sampled& sampled,
                                   uint64_t* left_out) const;
  std::vector<Found> OpenFiles(const ProcessKey& key,
                               const std::vector<Candidate>& candidates,
                               Deadline deadline) const;
  // The files of a process that is gone, as far as samples met them.
  std::vector<Found> RecallFiles(const ProcessInfo& info,
                                 const Sampled& sampled,
                                 uint64_t* left_out) const;
  std::vector<ModuleFacts> ExplainModules(const std::vector<Found>& found,
                                          Deadline deadline) const;
  UnwindFacts ExplainRows(const Found& found,
                          const TableLoader::FileState* state,
                          const Result<Examination>& sources) const;
  SymbolFacts ExplainNames(const Found& found, const SourceReport& used,
                           const Result<Examination>& sources) const;
  // What there is to find in the file; why it is not known.
  Result<Examination> ExamineFile(const Module& module,
                                  Deadline deadline) const;
  void Advise(int32_t pid, const ProcessDir* process,
              ProcessExplanation* explanation) const;
  void ExplainJit(const ProcessDir& process, const ProcMaps& maps,
                  JitFacts* jit) const;
  void ExplainJitDump(const ProcessKey& key, JitFacts* jit) const;
  KernelFacts ExplainKernel() const;

  const Parts parts_;
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_PROCESS_EXPLAINER_H_
