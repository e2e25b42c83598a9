#include "daemon/process/process_table.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "daemon/base/telemetry.h"

namespace pprofd {
namespace {

constexpr size_t kMaxProcessCmdlineBytes = 16 << 10;
constexpr size_t kCutCmdlineBytes = 256;
constexpr size_t kEvictedFraction = 16;

std::string_view View(const Comm& comm) {
  return {comm.data(), strnlen(comm.data(), comm.size())};
}

std::string_view BaseName(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

struct ProcessTable::Process {
  ProcessInfo info;  // `mappings` stay empty here
  ProcessMappings mappings;
  BootTime last_seen;  // sample, exec or look into /proc
  BootTime exited_at;
  uint32_t exec_count = 0;
  bool is_sampled = false;
  bool is_read = false;    // from /proc, since the last exec
  bool is_queued = false;  // in pending_

  void MarkExited(BootTime time) {
    if (info.exited) return;
    info.exited = true;
    info.root.clear();
    exited_at = time;
  }
};

struct ProcessTable::Snapshot {
  std::string comm;
  std::string exe;
  std::string cmdline;
  bool is_kernel_thread = false;
  struct Line {
    Mapping mapping;
    bool is_file = false;
    bool is_exe = false;
  };
  std::vector<Line> lines;
  Status status;  // of the first part that could not be read
};

ProcessTable::ProcessTable(const Options& options, ModuleTable* modules)
    : options_(options), modules_(modules) {}
ProcessTable::~ProcessTable() = default;

// ---- Events ----------------------------------------------------------------

bool ProcessTable::OnSample(const Sample& sample) {
  if (!IsValidPid(sample.process.pid)) return false;  // the idle task is none
  std::lock_guard lock(mutex_);
  Process* process = FindOrAdd(sample.process, sample.time);
  process->is_sampled = true;
  process->last_seen = std::max(process->last_seen, sample.time);
  ProcessInfo& info = process->info;
  // /proc knows longer names of kernel threads than samples do.
  bool is_better = info.comm.empty() ||
                   (sample.tid == sample.process.pid && !info.is_kernel_thread);
  if (is_better && info.comm != View(sample.comm))
    info.comm = View(sample.comm);
  for (const Mapping& mapping : sample.mappings) AddMapping(mapping, process);
  return !process->is_read && QueueRefresh(process);
}

bool ProcessTable::OnExec(const ExecEvent& event) {
  if (!IsValidPid(event.process.pid)) return false;
  std::lock_guard lock(mutex_);
  Process* process = FindOrAdd(event.process, event.time);
  process->last_seen = std::max(process->last_seen, event.time);
  ProcessInfo& info = process->info;
  info.comm = View(event.comm);
  info.exe = event.filename;
  info.exe_mapping = Mapping();
  info.exe_module = ModuleId::kNone;
  SetCmdline("", process);
  mapping_count_ -= process->mappings.size();
  process->mappings.Clear();
  mapping_count_ += process->mappings.size();
  ++process->exec_count;
  process->is_read = false;
  return process->is_sampled && QueueRefresh(process);
}

void ProcessTable::OnExit(const ExitEvent& event) {
  std::lock_guard lock(mutex_);
  auto it = processes_.find(event.process);
  if (it == processes_.end()) return;
  Process& process = *it->second;
  if (!process.is_sampled) {
    Erase(it);
    return;
  }
  process.MarkExited(event.time);
  process.info.exit_cpu_time_ns = event.cpu_time_ns;
  if (process.info.comm.empty()) process.info.comm = View(event.comm);
}

ProcessTable::Process* ProcessTable::FindLocked(const ProcessKey& key) const {
  auto it = processes_.find(key);
  return it == processes_.end() ? nullptr : it->second.get();
}

ProcessTable::Process* ProcessTable::FindOrAdd(const ProcessKey& key,
                                               BootTime time) {
  if (Process* known = FindLocked(key)) return known;
  if (processes_.size() >= options_.max_processes) EvictSome();
  auto it = processes_.emplace(key, std::make_unique<Process>()).first;
  Process* process = it->second.get();
  process->info.key = key;
  process->info.first_seen = time;
  process->info.root =
      options_.proc_root + "/" + std::to_string(key.pid) + "/root";
  process->last_seen = time;
  MarkPredecessorsExited(it, time);
  return process;
}

// A pid has one living process at most: the one that started last.
void ProcessTable::MarkPredecessorsExited(Processes::iterator it,
                                          BootTime time) {
  const int32_t pid = it->first.pid;
  auto next = std::next(it);
  if (next != processes_.end() && next->first.pid == pid) {
    it->second->MarkExited(time);
  }
  while (it != processes_.begin()) {
    --it;
    if (it->first.pid != pid) return;
    it->second->MarkExited(time);
  }
}

bool ProcessTable::QueueRefresh(Process* process) {
  if (process->is_queued || process->info.exited) return false;
  // Full: its next sample asks again.
  if (pending_.size() >= options_.max_processes) return false;
  process->is_queued = true;
  pending_.push_back(process->info.key);
  return true;
}

void ProcessTable::AddMapping(const Mapping& mapping, Process* process) {
  if (process->mappings.Contains(mapping)) return;
  if (mapping_count_ >= options_.max_mappings) {
    Count(Counter::process_mappings_cut);
    return;
  }
  mapping_count_ -= process->mappings.size();
  if (!process->mappings.Add(mapping)) Count(Counter::process_mappings_cut);
  mapping_count_ += process->mappings.size();
}

void ProcessTable::SetCmdline(const std::string& cmdline, Process* process) {
  std::string& kept = process->info.cmdline;
  cmdline_bytes_ -= kept.size();
  bool is_full =
      cmdline_bytes_ + std::min(cmdline.size(), kMaxProcessCmdlineBytes) >
      options_.max_cmdline_bytes;
  kept.assign(cmdline, 0, is_full ? kCutCmdlineBytes : kMaxProcessCmdlineBytes);
  cmdline_bytes_ += kept.size();
}

// ---- /proc -----------------------------------------------------------------

std::vector<ProcessKey> ProcessTable::TakePending() {
  std::lock_guard lock(mutex_);
  return std::exchange(pending_, {});
}

ProcessTable::Snapshot ProcessTable::ReadSnapshot(const ProcessDir& dir) const {
  Snapshot snapshot;
  auto take = [&snapshot](Result<std::string> result, std::string* out) {
    if (result.ok()) {
      *out = std::move(result).value();
    } else if (snapshot.status.ok()) {
      snapshot.status = result.status();
    }
  };
  snapshot.is_kernel_thread = dir.IsKernelThread();
  take(dir.ReadComm(), &snapshot.comm);
  if (snapshot.is_kernel_thread) return snapshot;
  take(dir.ReadExe(), &snapshot.exe);
  take(dir.ReadCmdline(), &snapshot.cmdline);
  Result<ProcMaps> maps = dir.ReadMaps();
  if (!maps.ok()) {
    if (snapshot.status.ok()) snapshot.status = maps.status();
    return snapshot;
  }
  if (maps->is_cut) Count(Counter::process_mappings_cut);
  const std::string root_path = dir.RootPath();
  for (ProcMapping& line : maps->mappings) {
    line.path = PathBelowRoot(std::move(line.path), root_path);
    Mapping mapping{line.start, line.limit, line.offset,
                    modules_->FindByMapping(line)};
    // Samples give the vDSO offsets from its first byte, as this line does.
    snapshot.lines.push_back(
        {mapping, line.is_file(), line.is_file() && line.path == snapshot.exe});
  }
  return snapshot;
}

Status ProcessTable::Refresh(const ProcessKey& key, BootTime now) {
  uint32_t exec_count = 0;
  {
    std::lock_guard lock(mutex_);
    Process* process = FindLocked(key);
    if (process == nullptr) {
      return Status(StatusCode::kNotFound,
                    "process " + std::to_string(key.pid) + " is not known");
    }
    process->is_queued = false;  // an exec from now on asks again
    exec_count = process->exec_count;
  }
  Result<ProcessDir> dir = ProcessDir::Open(options_.proc_root, key);
  if (dir.ok() && dir->stat().has_exited()) {
    dir = Status(StatusCode::kGone,
                 "process " + std::to_string(key.pid) + " has exited");
  }
  if (!dir.ok()) {
    std::lock_guard lock(mutex_);
    Process* process = FindLocked(key);
    if (process != nullptr && dir.status().code() == StatusCode::kGone) {
      process->MarkExited(now);
    }
    return dir.status();
  }
  Snapshot snapshot = ReadSnapshot(*dir);
  Status status = snapshot.status;
  std::lock_guard lock(mutex_);
  Process* process = FindLocked(key);
  if (process == nullptr) return status;
  if (status.code() == StatusCode::kGone) process->MarkExited(now);
  // Else this may be of the program before the exec.
  if (process->exec_count == exec_count) {
    Apply(std::move(snapshot), now, process);
  }
  return status;
}

void ProcessTable::Apply(Snapshot snapshot, BootTime now, Process* process) {
  ProcessInfo& info = process->info;
  process->is_read = true;
  process->last_seen = std::max(process->last_seen, now);
  info.is_kernel_thread = snapshot.is_kernel_thread;
  if (!snapshot.comm.empty()) info.comm = std::move(snapshot.comm);
  if (!snapshot.exe.empty()) info.exe = std::move(snapshot.exe);
  if (!snapshot.cmdline.empty()) {
    SetCmdline(snapshot.cmdline, process);
  }
  bool is_exe_known = false;
  for (Snapshot::Line& line : snapshot.lines) {
    // Samples know the modules by the kernel's own keys, this text does not.
    std::optional<Mapping> alike = process->mappings.FindAlike(line.mapping);
    if (line.is_file && alike && alike->module != ModuleId::kNone) {
      line.mapping.module = alike->module;
    }
    AddMapping(line.mapping, process);
    if (line.is_exe && !is_exe_known) {
      is_exe_known = true;
      info.exe_mapping = line.mapping;
      info.exe_module = line.mapping.module;
    }
  }
}

// ---- Bounds ----------------------------------------------------------------

ProcessTable::Processes::iterator ProcessTable::Erase(Processes::iterator it) {
  mapping_count_ -= it->second->mappings.size();
  cmdline_bytes_ -= it->second->info.cmdline.size();
  return processes_.erase(it);
}

void ProcessTable::EvictSome() {
  using Rank = std::tuple<int, BootTime, ProcessKey>;
  std::vector<Rank> ranks;
  ranks.reserve(processes_.size());
  for (const auto& [key, process] : processes_) {
    if (process->info.exited) {
      ranks.emplace_back(0, process->exited_at, key);
    } else {
      ranks.emplace_back(process->is_sampled ? 2 : 1, process->last_seen, key);
    }
  }
  size_t count = std::max<size_t>(1, ranks.size() / kEvictedFraction);
  count = std::min(count, ranks.size());
  auto last = static_cast<ptrdiff_t>(count > 0 ? count - 1 : 0);
  std::nth_element(ranks.begin(), ranks.begin() + last, ranks.end());
  for (size_t i = 0; i < count; ++i) {
    Erase(processes_.find(std::get<ProcessKey>(ranks[i])));
  }
  Count(Counter::processes_evicted, count);
}

size_t ProcessTable::Expire(BootTime now, int64_t horizon_ns) {
  std::lock_guard lock(mutex_);
  size_t before = processes_.size();
  for (auto it = processes_.begin(); it != processes_.end();) {
    Process& process = *it->second;
    BootTime end = process.info.exited ? process.exited_at : process.last_seen;
    bool is_old = now.ns - end.ns >= horizon_ns;
    if (is_old && (process.info.exited || !process.is_sampled)) {
      it = Erase(it);
      continue;
    }
    if (is_old) QueueRefresh(&process);  // its exit event may have been lost
    ++it;
  }
  return before - processes_.size();
}

// ---- Questions -------------------------------------------------------------

void ProcessTable::FindExeByModule(const std::vector<Mapping>& current,
                                   ProcessInfo* info) const {
  if (info->exe.empty()) return;
  // execve() may have been given a relative path.
  bool is_absolute = info->exe.starts_with('/');
  for (const Mapping& mapping : current) {
    ModuleRef module = modules_->Find(mapping.module);
    if (module == nullptr || module->path.empty()) continue;
    bool is_exe = is_absolute ? module->path == info->exe
                              : BaseName(module->path) == BaseName(info->exe);
    if (!is_exe) continue;
    info->exe_mapping = mapping;
    info->exe_module = mapping.module;
    info->exe = module->path;
    return;
  }
}

std::optional<ProcessInfo> ProcessTable::Find(const ProcessKey& key) const {
  ProcessInfo info;
  std::vector<Mapping> current;
  {
    std::lock_guard lock(mutex_);
    const Process* process = FindLocked(key);
    if (process == nullptr) return std::nullopt;
    info = process->info;
    info.mappings = process->mappings.All();
    if (info.exe_mapping.limit.value == 0) {
      current = process->mappings.current();
    } else if (auto now = process->mappings.FindAlike(info.exe_mapping)) {
      info.exe_mapping = *now;  // a sample may have told its module since
      info.exe_module = now->module;
    }
  }
  FindExeByModule(current, &info);
  return info;
}

std::optional<ProcessInfo> ProcessTable::FindByPid(int32_t pid) const {
  ProcessKey best;
  {
    std::lock_guard lock(mutex_);
    for (auto it = processes_.lower_bound(ProcessKey{pid, 0});
         it != processes_.end() && it->first.pid == pid; ++it) {
      best = it->first;  // the last one lives, if any does
    }
  }
  return best.pid == 0 ? std::nullopt : Find(best);
}

std::optional<Mapping> ProcessTable::FindMapping(const ProcessKey& key,
                                                 VirtualAddr address) const {
  std::lock_guard lock(mutex_);
  const Process* process = FindLocked(key);
  if (process == nullptr) return std::nullopt;
  return process->mappings.Find(address);
}

std::vector<ProcessInfo> ProcessTable::List() const {
  std::lock_guard lock(mutex_);
  std::vector<ProcessInfo> infos;
  infos.reserve(processes_.size());
  for (const auto& [key, process] : processes_) {
    if (process->is_sampled) infos.push_back(process->info);
  }
  return infos;
}

void ProcessTable::CollectModules(
    absl::flat_hash_set<ModuleId>* modules) const {
  std::lock_guard lock(mutex_);
  for (const auto& [key, process] : processes_) {
    modules->insert(process->info.exe_module);
    for (const Mapping& mapping : process->mappings.current()) {
      modules->insert(mapping.module);
    }
    for (const Mapping& mapping : process->mappings.past()) {
      modules->insert(mapping.module);
    }
  }
}

size_t ProcessTable::size() const {
  std::lock_guard lock(mutex_);
  return processes_.size();
}

}  // namespace pprofd
