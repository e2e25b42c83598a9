#include "daemon/pipeline/process_explainer.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <tuple>
#include <utility>

#include "daemon/model/frame.h"
#include "daemon/pipeline/advice.h"
#include "daemon/pipeline/allocator_finder.h"
#include "daemon/process/dpkg_owners.h"
#include "daemon/process/jit_dump_file.h"
#include "daemon/process/module_opener.h"
#include "daemon/process/perf_map_file.h"
#include "daemon/process/target_system.h"
#include "daemon/profile/symbolizer_source.h"
#include "daemon/unwind/unwind_table.h"

namespace pprofd {
namespace {

constexpr std::chrono::seconds kInspectTime{2};
constexpr std::chrono::seconds kJitTime{2};
constexpr char kTooLate[] = "not known: examining the files took too long";

std::chrono::steady_clock::time_point Now() {
  return std::chrono::steady_clock::now();
}

bool IsNewMapping(std::set<std::tuple<std::string, uint64_t, uint64_t>>& seen,
                  const ProcMapping& line) {
  uint64_t device =
      uint64_t{line.device_major} << 32 | uint64_t{line.device_minor};
  return seen.emplace(line.path, line.inode, device).second;
}

void CopyStats(const UnwindTableStats& stats, UnwindFacts* unwind) {
  unwind->eh_frame_functions = stats.eh_frame_fdes;
  unwind->debug_frame_functions = stats.debug_frame_fdes;
  unwind->go_functions = stats.go_functions;
  unwind->signal_trampolines = stats.signal_trampolines;
  unwind->skipped_records = stats.skipped_records;
  unwind->covered_bytes = stats.covered_bytes;
  unwind->code_bytes = stats.code_bytes;
}

// Memory that holds code and no file: neither the kernel's own pages nor what
// has a name in a file system.
bool IsAnonymousCode(const ProcMapping& line) {
  return !line.is_file() && !line.is_vdso() && line.path != "[vsyscall]" &&
         line.path != "[uprobes]";
}

std::string ReadLine(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line.substr(0, 64);
}

template <typename Key>
uint64_t CountOf(const std::map<Key, uint64_t>& counts, const Key& key) {
  auto found = counts.find(key);
  return found == counts.end() ? 0 : found->second;
}

// Most samples first; returns how many did not fit.
template <typename T>
uint64_t SortAndCut(size_t max, std::vector<T>* items) {
  std::stable_sort(items->begin(), items->end(), [](const T& a, const T& b) {
    return a.samples > b.samples;
  });
  if (items->size() <= max) return 0;
  uint64_t left_out = items->size() - max;
  items->erase(items->begin() + static_cast<ptrdiff_t>(max), items->end());
  return left_out;
}

}  // namespace

Result<ProcessExplanation> ProcessExplainer::Explain(int32_t pid) const {
  ProcessExplanation explanation;
  Result<ProcessDir> process = ProcessDir::Open(kProcRoot, pid);
  std::optional<ProcessInfo> info;
  if (!process.ok()) {
    info = parts_.processes.FindByPid(pid);
    if (!info) {
      return Status(StatusCode::kNotFound,
                    fmt::format("no such process: {}", pid));
    }
  }
  Sampled sampled = ReadHistory(process.ok() ? process->key() : info->key);
  explanation.stacks = std::move(sampled.stacks);
  explanation.jit.samples = sampled.through_jit;
  explanation.kernel = ExplainKernel();
  if (process.ok()) {
    ExplainLiving(*process, sampled, &explanation);
    return explanation;
  }
  explanation.exited = true;
  explanation.is_kernel_thread = info->is_kernel_thread;
  explanation.system_problem =
      "the process has exited, and its root directory with it";
  explanation.package_problem = explanation.system_problem;
  explanation.modules_problem =
      "the process has exited: these are the files that its samples met";
  explanation.jit.problem = "the process has exited";
  explanation.modules =
      ExplainModules(RecallFiles(*info, sampled, &explanation.modules_left_out),
                     Now() + kTime);
  Advise(pid, nullptr, &explanation);
  return explanation;
}

void ProcessExplainer::ExplainLiving(const ProcessDir& process,
                                     const Sampled& sampled,
                                     ProcessExplanation* explanation) const {
  explanation->is_kernel_thread = process.IsKernelThread();
  if (explanation->is_kernel_thread) return;
  Deadline deadline = Now() + kTime;
  Result<ProcMaps> maps = process.ReadMaps();
  if (!maps.ok()) {
    explanation->modules_problem =
        "its mappings cannot be read: " + maps.status().message();
    explanation->jit.problem = explanation->modules_problem;
  } else {
    if (maps->is_cut) {
      explanation->modules_problem = "it has more mappings than pprofd reads";
    }
    std::vector<Candidate> candidates = ListFiles(
        *maps, process.RootPath(), sampled, &explanation->modules_left_out);
    explanation->modules = ExplainModules(
        OpenFiles(process.key(), candidates, deadline), deadline);
    ExplainJit(process, *maps, &explanation->jit);
  }
  ExplainHeap(process, deadline, &explanation->heap);
  Advise(process.key().pid, &process, explanation);
  Result<std::string> exe = process.ReadExe();
  explanation->jit.advice =
      AdviseJit(process.key().pid, exe.ok() ? *exe : process.stat().comm,
                explanation->jit);
}

void ProcessExplainer::ExplainHeap(const ProcessDir& process, Deadline deadline,
                                   HeapFacts* heap) const {
  if (Now() >= deadline) {
    heap->problem = kTooLate;
    return;
  }
  Result<FoundAllocators> found =
      AllocatorFinder(parts_.symbolizer).Find(process, deadline);
  if (!found.ok()) {
    heap->problem = found.status().message();
    return;
  }
  heap->allocators = found->description();
  heap->is_stepped = !found->is_emulated();
  for (const HeapProbeSet& set : found->probe_sets()) {
    heap->functions += set.functions.size();
  }
}

ProcessExplainer::Sampled ProcessExplainer::ReadHistory(
    const ProcessKey& key) const {
  Sampled sampled;
  SampleFilter filter;
  filter.pid = key.pid;
  filter.start_ticks = key.start_ticks;
  Aggregate aggregate = parts_.history.Query(parts_.history.Covered().start,
                                             parts_.clock.Boot(), filter, {});
  StackFacts& stacks = sampled.stacks;
  stacks.seconds =
      static_cast<double>(aggregate.end.ns - aggregate.start.ns) / 1e9;
  stacks.samples = static_cast<uint64_t>(aggregate.samples);
  stacks.complete = static_cast<uint64_t>(aggregate.complete);
  stacks.mixed = static_cast<uint64_t>(aggregate.mixed);
  stacks.truncated = static_cast<uint64_t>(aggregate.truncated);
  stacks.without_user = static_cast<uint64_t>(aggregate.without_user);
  CutCounts cuts;
  FileNames names;
  std::set<FileName> met;
  for (const AggregateRow& row : aggregate.rows) {
    auto count = static_cast<uint64_t>(row.values[0]);
    met.clear();
    bool has_jit = false;
    for (const Frame& frame : aggregate.stacks[row.stack]) {
      if (frame.kind() == FrameKind::kFile) {
        sampled.modules.insert(frame.module());
        met.insert(NameOf(frame.module(), &names));
      } else if (frame.kind() == FrameKind::kAddress) {
        has_jit = true;
      } else if (frame.kind() == FrameKind::kReason) {
        const FileName& file = NameOf(frame.module(), &names);
        cuts[{frame.reason(), file}] += count;
        if (frame.reason() == PPROFD_REASON_NO_ROWS) {
          sampled.without_rows[file] += count;
        }
      }
    }
    for (const FileName& file : met) sampled.through[file] += count;
    if (has_jit) sampled.through_jit += count;
  }
  for (const auto& [where, count] : cuts) {
    stacks.cuts.push_back({ReasonText(where.first), where.second.first, count});
  }
  stacks.cuts_left_out = SortAndCut(kMaxCuts, &stacks.cuts);
  return sampled;
}

const ProcessExplainer::FileName& ProcessExplainer::NameOf(
    ModuleId id, FileNames* names) const {
  auto [it, is_new] = names->try_emplace(id);
  if (is_new) {
    ModuleRef module = parts_.modules.Find(id);
    if (module) it->second = {module->path, module->key.inode};
  }
  return it->second;
}

std::vector<ProcessExplainer::Candidate> ProcessExplainer::ListFiles(
    const ProcMaps& maps, const std::string& root_path, const Sampled& sampled,
    uint64_t* left_out) const {
  std::vector<Candidate> candidates;
  std::set<std::tuple<std::string, uint64_t, uint64_t>> seen;
  for (ProcMapping line : maps.mappings) {
    if (!line.is_file() && !line.is_vdso()) continue;
    if (IsJitDumpPath(line.path)) continue;
    line.path = PathBelowRoot(std::move(line.path), root_path);
    if (!IsNewMapping(seen, line)) continue;
    ModuleId id = parts_.modules.FindByMapping(line);
    FileName name(line.path, line.inode);
    candidates.push_back({id, std::move(line), CountOf(sampled.through, name),
                          CountOf(sampled.without_rows, name)});
  }
  *left_out = SortAndCut(kMaxModules, &candidates);
  return candidates;
}

std::vector<ProcessExplainer::Found> ProcessExplainer::OpenFiles(
    const ProcessKey& key, const std::vector<Candidate>& candidates,
    Deadline deadline) const {
  std::vector<Found> found;
  for (const Candidate& candidate : candidates) {
    Found& file = found.emplace_back();
    file.is_deleted = candidate.line.is_deleted;
    file.samples = candidate.samples;
    file.cut_samples = candidate.cut_samples;
    file.is_known = candidate.id != ModuleId::kNone;
    if (file.is_known) {
      file.module = parts_.modules.Find(candidate.id);
      continue;
    }
    auto module = std::make_shared<Module>();
    if (Now() < deadline) {
      *module = OpenMappedModule(key, candidate.line);
      parts_.symbolizer.DescribeModule(module.get());
    } else {
      module->unavailable_reason = kTooLate;
    }
    module->path = candidate.line.path;
    file.module = std::move(module);
  }
  return found;
}

std::vector<ProcessExplainer::Found> ProcessExplainer::RecallFiles(
    const ProcessInfo& info, const Sampled& sampled, uint64_t* left_out) const {
  std::set<ModuleId> ids = sampled.modules;
  for (const Mapping& mapping : info.mappings) ids.insert(mapping.module);
  ids.erase(ModuleId::kNone);
  std::map<FileName, ModuleRef> files;
  for (ModuleId id : ids) {
    ModuleRef module = parts_.modules.Find(id);
    files.insert_or_assign({module->path, module->key.inode}, module);
  }
  std::vector<Found> found;
  found.reserve(files.size());
  for (const auto& [name, module] : files) {
    found.push_back({.module = module,
                     .is_known = true,
                     .samples = CountOf(sampled.through, name),
                     .cut_samples = CountOf(sampled.without_rows, name)});
  }
  *left_out = SortAndCut(kMaxModules, &found);
  return found;
}

std::vector<ModuleFacts> ProcessExplainer::ExplainModules(
    const std::vector<Found>& found, Deadline deadline) const {
  std::vector<ModuleRef> modules;
  modules.reserve(found.size());
  for (const Found& file : found) modules.push_back(file.module);
  auto states = parts_.worker.Inspect(std::move(modules),
                                      std::min(deadline, Now() + kInspectTime));
  std::vector<ModuleFacts> facts;
  for (size_t i = 0; i < found.size(); ++i) {
    const Found& file = found[i];
    ModuleFacts& module = facts.emplace_back();
    module.path = file.module->path;
    module.build_id = file.module->build_id.Hex();
    module.is_deleted = file.is_deleted;
    module.problem = file.module->unavailable_reason;
    module.samples = file.samples;
    module.cut_samples = file.cut_samples;
    const TableLoader::FileState* state = states ? &(*states)[i] : nullptr;
    bool has_rows = state != nullptr && file.is_known &&
                    state->kind != TableLoader::FileState::Kind::kAbsent;
    SourceReport used;
    if (file.is_known) {
      used = parts_.symbolizer.Report(SymbolCacheKey(*file.module));
    }
    Result<Examination> sources(Status(StatusCode::kNotFound, "not needed"));
    if (used.attempts.empty() || !has_rows) {
      sources = ExamineFile(*file.module, deadline);
    }
    module.symbols = ExplainNames(file, used, sources);
    module.unwind = ExplainRows(file, state, sources);
  }
  return facts;
}

Result<Examination> ProcessExplainer::ExamineFile(const Module& module,
                                                  Deadline deadline) const {
  if (!module.file) {
    return Status(StatusCode::kNotFound, module.unavailable_reason);
  }
  if (Now() >= deadline) return Status(StatusCode::kTimeout, kTooLate);
  return parts_.symbolizer.Examine(NamedFileOf(module));
}

UnwindFacts ProcessExplainer::ExplainRows(
    const Found& found, const TableLoader::FileState* state,
    const Result<Examination>& sources) const {
  using Kind = TableLoader::FileState::Kind;
  UnwindFacts unwind;
  if (state == nullptr) {
    unwind.problem = "not known: the thread that builds tables is busy";
    return unwind;
  }
  if (found.is_known && state->kind == Kind::kRefused) {
    unwind.state = UnwindFacts::State::kRefused;
    unwind.problem = state->refusal;
    return unwind;
  }
  if (found.is_known && state->kind == Kind::kReady) {
    unwind.state = UnwindFacts::State::kBuilt;
    unwind.rows = state->row_count;
    CopyStats(state->stats, &unwind);
    for (ModuleId id : state->sharers) {
      ModuleRef sharer = parts_.modules.Find(id);
      if (!sharer || unwind.shared_with.size() >= kMaxSharers) {
        ++unwind.shared_left_out;
      } else {
        bool is_copy = sharer->path == found.module->path;
        unwind.shared_with.push_back(sharer->path +
                                     (is_copy ? " (another copy)" : ""));
      }
    }
    return unwind;
  }
  unwind.state = UnwindFacts::State::kNotBuilt;
  if (!sources.ok()) {
    unwind.problem = sources.status().message();
  } else if (!sources->table_problem.empty()) {
    unwind.problem = sources->table_problem;
  } else {
    CopyStats(sources->table, &unwind);
  }
  return unwind;
}

SymbolFacts ProcessExplainer::ExplainNames(
    const Found& found, const SourceReport& used,
    const Result<Examination>& sources) const {
  SymbolFacts symbols;
  const Module& module = *found.module;
  symbols.is_in_use = !used.attempts.empty();
  if (!symbols.is_in_use && !sources.ok()) {
    symbols.problem = sources.status().message();
    return symbols;
  }
  const SourceReport& report = symbols.is_in_use ? used : sources->symbols;
  symbols.is_known = module.unavailable_reason.empty();
  symbols.problem = module.unavailable_reason;
  symbols.attempts = report.attempts;
  if (parts_.debuginfod != nullptr) {
    // What the symbolizer was told then may have changed since.
    std::replace_if(
        symbols.attempts.begin(), symbols.attempts.end(),
        [](const std::string& text) { return text.starts_with("debuginfod:"); },
        parts_.debuginfod->Describe(module.build_id));
  }
  symbols.has_dwarf = report.has_dwarf;
  symbols.has_symtab = report.has_symtab;
  symbols.has_dynsym = report.has_dynsym;
  symbols.has_go_table = report.has_go_table;
  return symbols;
}

void ProcessExplainer::Advise(int32_t pid, const ProcessDir* process,
                              ProcessExplanation* explanation) const {
  AdviceContext context;
  context.pid = pid;
  context.asks_debuginfod = parts_.debuginfod != nullptr;
  std::set<std::string> paths;
  for (const ModuleFacts& module : explanation->modules) {
    if (module.symbols.is_known && !module.symbols.has_dwarf &&
        module.path.starts_with('/')) {
      paths.insert(module.path);
    }
  }
  if (process != nullptr) {
    Result<UniqueFd> root = process->OpenAt("root", O_PATH | O_DIRECTORY);
    if (!root.ok()) {
      explanation->system_problem = root.status().message();
    } else {
      TargetSystem system = ReadTargetSystem(root->get());
      context.family = system.family;
      context.system = system.name;
      explanation->system = system.name;
      explanation->system_problem = system.problem;
      if (system.family == TargetSystem::Family::kDebian && !paths.empty()) {
        DpkgOwners owners = FindDpkgOwners(root->get(), paths,
                                           {.deadline = Now() + kPackageTime});
        explanation->package_problem = owners.problem;
        context.debug_packages = std::move(owners.debug_packages);
        for (ModuleFacts& module : explanation->modules) {
          auto owner = owners.packages.find(module.path);
          if (owner != owners.packages.end()) module.package = owner->second;
        }
      }
    }
  }
  for (ModuleFacts& module : explanation->modules) {
    AdviseModule(context, &module);
  }
}

void ProcessExplainer::ExplainJit(const ProcessDir& process,
                                  const ProcMaps& maps, JitFacts* jit) const {
  for (const ProcMapping& line : maps.mappings) {
    if (!IsAnonymousCode(line)) continue;
    ++jit->mappings;
    jit->bytes += line.limit.value - line.start.value;
  }
  ProcessKey key = process.key();
  if (Result<ProcessStatus> status = process.ReadStatus(); status.ok()) {
    int32_t pid = status->namespace_pid != 0 ? status->namespace_pid : key.pid;
    jit->map_path = fmt::format("/tmp/perf-{}.map", pid);
  }
  ExplainJitDump(key, jit);
  Result<UniqueFd> map = OpenPerfMapFile(key);
  jit->has_map = map.ok();
  if (!map.ok()) {
    jit->problem = map.status().message();
    return;
  }
  if (jit->mappings == 0 && jit->samples == 0) return;
  std::string cache_key = PerfMapCacheKey(key);
  parts_.symbolizer.SymbolizePerfMap(map->get(), cache_key, {},
                                     DemangleStyle::kShort, Now() + kJitTime);
  std::vector<std::string> attempts =
      parts_.symbolizer.Report(cache_key).attempts;
  jit->attempts.insert(jit->attempts.end(), attempts.begin(), attempts.end());
}

void ProcessExplainer::ExplainJitDump(const ProcessKey& key,
                                      JitFacts* jit) const {
  Result<JitDumpFile> dump = OpenJitDumpFile(key);
  if (!dump.ok()) {
    if (dump.status().code() != StatusCode::kNotFound) {
      jit->dump_problem = dump.status().message();
    }
    return;
  }
  jit->has_dump = true;
  jit->dump_path = dump->path;
  std::string cache_key = JitDumpCacheKey(key);
  parts_.symbolizer.SymbolizeJitDump(dump->file.get(), cache_key, {},
                                     DemangleStyle::kShort, Now() + kJitTime);
  jit->attempts = parts_.symbolizer.Report(cache_key).attempts;
}

KernelFacts ProcessExplainer::ExplainKernel() const {
  KernelFacts kernel;
  SourceReport report = parts_.kernel.Report();
  kernel.attempts = std::move(report.attempts);
  kernel.has_names = report.has_symtab;
  kernel.kptr_restrict = ReadLine("/proc/sys/kernel/kptr_restrict");
  kernel.advice = AdviseKernel(kernel);
  return kernel;
}

}  // namespace pprofd
