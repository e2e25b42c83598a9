#include "daemon/pipeline/process_worker.h"

#include <pthread.h>

#include <utility>

#include "daemon/base/telemetry.h"
#include "daemon/base/urgency.h"
#include "daemon/model/reason_counts.h"
#include "daemon/process/module_opener.h"
#include "daemon/unwind/unwind_table.h"

namespace pprofd {
namespace {

constexpr std::chrono::seconds kHousekeepingInterval{1};
constexpr std::chrono::seconds kEpochInterval{5};
constexpr size_t kMaxKnownMappings = 256;

}  // namespace

ProcessWorker::ProcessWorker(const Parts& parts,
                             const TableLoader::Options& options)
    : parts_(parts), loader_(&parts_.maps, options) {}

void ProcessWorker::Start() {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "process");
}

void ProcessWorker::Stop() {
  jobs_.Close();
  if (thread_.joinable()) thread_.join();
  flushed_.notify_all();
}

void ProcessWorker::PostNewModule(NewModuleEvent event) {
  pprofd_file_key key = event.key;
  Count(Counter::modules_seen);
  if (!jobs_.TryPush(std::move(event))) {
    Status ignored = parts_.maps.RemoveModule(key);
  }
}

void ProcessWorker::PostRefresh() {
  // A full queue is no loss: the worker looks at the process table anyway.
  (void)jobs_.TryPush(RefreshJob{});
}

bool ProcessWorker::TryDefer(Sample& sample) {
  if (deferred_.load(std::memory_order_relaxed) >= kMaxDeferred) return false;
  deferred_.fetch_add(1, std::memory_order_relaxed);
  Job job(DeferredSample{.sample = std::move(sample)});
  if (jobs_.TryPush(std::move(job))) return true;
  deferred_.fetch_sub(1, std::memory_order_relaxed);
  sample = std::move(std::get<DeferredSample>(job).sample);
  return false;
}

bool ProcessWorker::Flush(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(flush_mutex_);
  uint64_t number = ++flushes_wanted_;
  if (!jobs_.TryPush(FlushJob{number})) return false;
  return flushed_.wait_until(lock, deadline, [&] {
    return flushes_done_ >= number || jobs_.closed();
  });
}

std::optional<std::vector<TableLoader::FileState>> ProcessWorker::Inspect(
    std::vector<ModuleRef> modules,
    std::chrono::steady_clock::time_point deadline) {
  auto inspection = std::make_shared<Inspection>();
  inspection->modules = std::move(modules);
  if (!jobs_.TryPush(inspection)) return std::nullopt;
  std::unique_lock lock(flush_mutex_);
  flushed_.wait_until(lock, deadline,
                      [&] { return inspection->is_done || jobs_.closed(); });
  if (!inspection->is_done) return std::nullopt;
  return std::move(inspection->states);
}

void ProcessWorker::Run() {
  MakeUrgent(0);  // a new file's samples wait for its table
  LoadVdso();
  while (true) {
    std::optional<Job> job = jobs_.PopFor(
        unread_.empty() ? kHousekeepingInterval : std::chrono::seconds(0));
    if (job) std::visit([this](auto& item) { Do(item); }, *job);
    if (!job && jobs_.closed()) return;
    if (!job || !waiting_.empty()) ReadNext();
    KeepHouse();
  }
}

void ProcessWorker::ReadNext() {
  if (!unread_.empty()) ReadNow(unread_.begin()->first);
}

bool ProcessWorker::ReadNow(ModuleId id) {
  auto unread = unread_.extract(id);
  if (unread.empty()) return false;
  Read(std::move(unread.mapped()));
  DoWaiting();
  return true;
}

void ProcessWorker::DoWaiting() {
  while (!waiting_.empty()) {
    Waiting& first = waiting_.front();
    if (!unread_.empty() && unread_.begin()->first <= first.last) return;
    std::visit([this](auto& job) { Finish(job); }, first.job);
    waiting_.pop_front();
  }
}

void ProcessWorker::KeepHouse() {
  auto now = std::chrono::steady_clock::now();
  if (now < next_housekeeping_) return;
  next_housekeeping_ = now + kHousekeepingInterval;
  RefreshJob refresh;
  Do(refresh);
  if (now >= next_epoch_) {
    next_epoch_ = now + kEpochInterval;
    loader_.AdvanceEpoch();
  }
  BootTime boot = parts_.clock.Boot();
  loader_.Collect(boot);
  parts_.keep_house();
  // A module nobody names any more is forgotten everywhere.
  absl::flat_hash_set<ModuleId> in_use = parts_.modules_in_use();
  parts_.processes.CollectModules(&in_use);
  loader_.CollectModules(&in_use);
  for (const ModuleRef& module : parts_.modules.Retain(in_use, boot)) {
    Status status = loader_.Forget(module->key, module->id);
    if (!status.ok()) spdlog::debug("{}", status.ToString());
  }
}

ModuleRef ProcessWorker::Add(Module module, BuildId* table_identity) {
  *table_identity = parts_.symbolizer.DescribeModule(&module);
  return parts_.modules.Add(std::move(module));
}

void ProcessWorker::Do(NewModuleEvent& event) {
  if (unread_.size() >= kMaxJobs) ReadNext();
  unread_.emplace(event.module, UnreadModule{.module = OpenModule(event),
                                             .process = event.process});
}

void ProcessWorker::Read(UnreadModule unread) {
  BuildId table_identity;
  ModuleRef module = Add(std::move(unread.module), &table_identity);
  if (module->file) {
    LoadTable(*module, table_identity);
    return;
  }
  spdlog::debug("module {} not opened: {}", module->path,
                module->unavailable_reason);
  // What a living process maps and we cannot open stays so; of one that is gone
  // the next process may show the file.
  bool is_hopeless = ProcessDir::Open(kProcRoot, unread.process).ok();
  Status status = is_hopeless ? loader_.Refuse(module->key, module->id,
                                               module->unavailable_reason)
                              : loader_.Forget(module->key, module->id);
  if (!status.ok()) spdlog::debug("{}", status.ToString());
}

void ProcessWorker::LoadTable(const Module& module, const BuildId& identity) {
  if (loader_.Share(module.key, module.id, identity)) return;
  Result<UnwindTable> table = BuildTable(module.file.get());
  Status status = table.ok()
                      ? loader_.Load(module.key, module.id, identity, *table)
                      : table.status();
  if (status.ok()) return;
  LOG_EVERY(std::chrono::seconds(10),
            spdlog::warn("no unwind table for {}: {}", module.path,
                         status.message()));
  status = loader_.Refuse(module.key, module.id, status.message());
  if (!status.ok()) spdlog::debug("{}", status.ToString());
}

Result<UnwindTable> ProcessWorker::BuildTable(int file) {
  Result<UnwindTable> table = parts_.symbolizer.BuildTable(file);
  if (table.status().code() != StatusCode::kGone) return table;
  return parts_.symbolizer.BuildTable(file);
}

void ProcessWorker::LoadVdso() {
  BuildId table_identity;
  ModuleRef module = Add(MakeVdsoModule(), &table_identity);
  Status status(StatusCode::kNotFound, module->unavailable_reason);
  if (module->file) {
    Result<UnwindTable> table = BuildTable(module->file.get());
    status = table.ok() ? loader_.LoadVdso(*table) : table.status();
  }
  if (!status.ok()) {
    spdlog::warn("no unwind table for the vDSO: {}", status.message());
  }
}

void ProcessWorker::Do(DeferredSample& job) {
  RefreshJob refresh;
  Do(refresh);
  // Where the kernel half went; the last of them has stopped it.
  for (const Mapping& mapping : job.sample.mappings) ReadNow(mapping.module);
  bool is_early = false;
  UnwoundStack stack = Walk(job.sample, &is_early);
  if (is_early && !job.was_early) {
    Job again(
        DeferredSample{.sample = std::move(job.sample), .was_early = true});
    if (jobs_.TryPush(std::move(again))) return;
    job.sample = std::move(std::get<DeferredSample>(again).sample);
  }
  deferred_.fetch_sub(1, std::memory_order_relaxed);
  Count(Counter::samples_deferred);
  Finish(std::move(stack), job.sample);
  parts_.deliver(job.sample);
}

std::optional<Mapping> ProcessWorker::FindMapping(const Sample& sample,
                                                  VirtualAddr address,
                                                  Finds* finds) {
  std::optional<Mapping> mapping =
      parts_.processes.FindMapping(sample.process, address);
  if (mapping && mapping->module == ModuleId::kNone) {
    mapping->module = NameModule(sample.process, *mapping, finds);
  }
  return mapping;
}

// The kernel half numbers a file when its own walk reaches it; a copied stack
// may get there first.
ModuleId ProcessWorker::NameModule(const ProcessKey& key,
                                   const Mapping& mapping, Finds* finds) {
  if (!finds->maps) {
    finds->maps.emplace();
    Result<ProcessDir> process = ProcessDir::Open(kProcRoot, key);
    if (!process.ok()) return ModuleId::kNone;
    if (Result<ProcMaps> read = process->ReadMaps(); read.ok()) {
      *finds->maps = std::move(*read);
    }
  }
  const ProcMapping* line = finds->maps->Find(mapping.start);
  if (line == nullptr || !line->is_file()) return ModuleId::kNone;
  ModuleId known = parts_.modules.FindByMapping(*line);
  if (known != ModuleId::kNone) return known;
  auto is_it = [&](const Module& module) {
    return module.key.inode == line->inode && module.path == line->path;
  };
  for (const auto& [id, unread] : unread_) {
    if (is_it(unread.module)) return id;
  }
  for (const Module& module : finds->modules) {
    if (is_it(module)) return module.id;
  }
  return finds->modules
      .emplace_back(OpenMappedModule(key, *line, parts_.take_number()))
      .id;
}

ModuleRef ProcessWorker::FindModule(ModuleId id, Finds* finds) const {
  for (const Module& module : finds->modules) {
    // For the moment of an answer: `finds` owns it.
    if (module.id == id) return ModuleRef(ModuleRef(), &module);
  }
  if (!parts_.modules.Contains(id)) finds->unread.push_back(id);
  return parts_.modules.Find(id);
}

// Those that need no more asking: a question costs two switches of processes.
std::vector<Mapping> ProcessWorker::KnownMappings(const Sample& sample) const {
  std::vector<Mapping> known = sample.mappings;
  std::optional<ProcessInfo> info = parts_.processes.Find(sample.process);
  if (!info) return known;
  for (const Mapping& mapping : info->mappings) {
    if (known.size() == kMaxKnownMappings) break;
    if (mapping.module != ModuleId::kNone) known.push_back(mapping);
  }
  return known;
}

Result<UnwoundStack> ProcessWorker::WalkOnce(const Sample& sample,
                                             Finds* finds) {
  Result<UnwoundStack> unwound = parts_.symbolizer.Unwind(
      sample.raw.front(), KnownMappings(sample),
      [&](VirtualAddr address) { return FindMapping(sample, address, finds); },
      [&](ModuleId id) { return FindModule(id, finds); });
  for (Module& module : finds->modules) {
    BuildId table_identity;
    Add(std::move(module), &table_identity);
  }
  return unwound;
}

UnwoundStack ProcessWorker::Walk(const Sample& sample, bool* is_early) {
  Result<UnwoundStack> unwound = UnwoundStack();
  bool is_to_repeat = true;
  while (is_to_repeat) {
    Finds finds;
    unwound = WalkOnce(sample, &finds);
    is_to_repeat = false;
    for (ModuleId id : finds.unread) is_to_repeat |= ReadNow(id);
    *is_early = !is_to_repeat && !finds.unread.empty();
  }
  if (!unwound.ok()) {
    return {.frames = {},
            .result = UnwindResult::kTruncated,
            .reason = PPROFD_REASON_UNWINDER_LOST};
  }
  UnwoundStack stack = std::move(*unwound);
  if (stack.reason == PPROFD_REASON_NO_MAPPING &&
      !ProcessDir::Open(kProcRoot, sample.process).ok()) {
    stack.reason = PPROFD_REASON_PROCESS_GONE;
  }
  return stack;
}

// Replaces the user half by the unwound one.
void ProcessWorker::Finish(UnwoundStack stack, Sample& sample) {
  sample.raw.clear();
  // What was copied is the stack of the caller of a probed function.
  size_t kept = sample.kernel_frame_count +
                ((sample.flags & PPROFD_SAMPLE_PROBED) != 0 ? 1 : 0);
  // The kernel half kept more when the copy was too short to go further.
  size_t known = sample.stack.size() - kept;
  if (stack.result == UnwindResult::kTruncated &&
      stack.frames.size() + 1 < known) {
    GlobalReasonCounts().Add(sample.reason);
    return;
  }
  sample.stack.resize(kept);
  sample.stack.insert(sample.stack.end(), stack.frames.begin(),
                      stack.frames.end());
  sample.result = stack.result;
  sample.reason = stack.reason;
  sample.reason_module = stack.reason_module;
  if (sample.result == UnwindResult::kTruncated) {
    GlobalReasonCounts().Add(sample.reason);
    sample.stack.push_back(Frame::Reason(sample.reason, sample.reason_module));
  }
}

void ProcessWorker::Do(RefreshJob&) {
  for (const ProcessKey& key : parts_.processes.TakePending()) {
    Status status = parts_.processes.Refresh(key, parts_.clock.Boot());
    if (!status.ok()) {
      spdlog::debug("process {}: {}", key.pid, status.ToString());
    }
  }
}

void ProcessWorker::Do(FlushJob& job) { Await(job); }
void ProcessWorker::Do(InspectJob& job) { Await(std::move(job)); }

void ProcessWorker::Await(std::variant<FlushJob, InspectJob> job) {
  waiting_.push_back(
      {.last = unread_.empty() ? ModuleId::kNone : unread_.rbegin()->first,
       .job = std::move(job)});
  DoWaiting();
}

void ProcessWorker::Finish(FlushJob& job) {
  {
    std::lock_guard lock(flush_mutex_);
    flushes_done_ = job.number;
  }
  flushed_.notify_all();
}

void ProcessWorker::Finish(InspectJob& job) {
  std::vector<TableLoader::FileState> states;
  for (const ModuleRef& module : job->modules) {
    states.push_back(module->id == ModuleId::kVdso
                         ? loader_.DescribeVdso()
                         : loader_.Describe(module->key));
  }
  {
    std::lock_guard lock(flush_mutex_);
    job->states = std::move(states);
    job->is_done = true;
  }
  flushed_.notify_all();
}

}  // namespace pprofd
