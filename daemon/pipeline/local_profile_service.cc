#include "daemon/pipeline/local_profile_service.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>

#include "daemon/base/memory_policy.h"
#include "daemon/base/telemetry.h"
#include "daemon/model/reason_counts.h"
#include "daemon/process/proc_files.h"

namespace pprofd {
namespace {

constexpr int64_t kRecentCpuNs = 10'000'000'000;

std::string WithBlanks(std::string cmdline) {
  std::replace(cmdline.begin(), cmdline.end(), '\0', ' ');
  return cmdline;
}

Status NoSuchProcess(int32_t pid) {
  return Status(StatusCode::kNotFound, fmt::format("no such process: {}", pid));
}

ProcessRow RowOf(const ProcessDir& dir) {
  ProcessRow row;
  row.pid = dir.key().pid;
  row.comm = dir.stat().comm;
  row.threads = dir.stat().threads;
  row.is_kernel_thread = dir.IsKernelThread();
  if (row.is_kernel_thread) return row;
  if (Result<std::string> exe = dir.ReadExe(); exe.ok()) row.exe = *exe;
  if (Result<std::string> text = dir.ReadCmdline(); text.ok()) {
    row.cmdline = WithBlanks(*text);
  }
  return row;
}

ProcessRow RowOf(const ProcessInfo& info) {
  ProcessRow row;
  row.pid = info.key.pid;
  row.comm = info.comm;
  row.exe = info.exe;
  row.cmdline = WithBlanks(info.cmdline);
  row.is_kernel_thread = info.is_kernel_thread;
  row.exited = true;
  return row;
}

// 100 = one CPU.
double CpuPercent(const History::CpuUsage& usage, const ProcessKey& key) {
  auto found = std::lower_bound(usage.processes.begin(), usage.processes.end(),
                                key, [](const auto& entry, const auto& wanted) {
                                  return entry.process < wanted;
                                });
  if (found == usage.processes.end() || found->process != key) return 0;
  int64_t span_ns = usage.range.end.ns - usage.range.start.ns;
  return 100.0 * static_cast<double>(found->value) /
         static_cast<double>(std::max<int64_t>(span_ns, 1));
}

std::string ReasonCounterName(uint32_t reason) {
  switch (reason) {
#define TRUNCATE_REASON(number, name, text) \
  case number:                              \
    return "truncated_" #name;
#define DROP_REASON(number, name, text) \
  case number:                          \
    return "dropped_" #name;
#include "bpf/drop_reasons.def"
    default:
      return "";
  }
}

std::string LowerCase(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace

// A running query: its event, its buffer, and its process's pidfd.
class LocalProfileService::LocalCapture : public Capture {
 public:
  LocalCapture(const Parts& parts, int32_t pid,
               std::shared_ptr<const CaptureTarget> target, UniqueFd pidfd)
      : parts_(parts),
        pid_(pid),
        target_(std::move(target)),
        pidfd_(std::move(pidfd)) {}
  ~LocalCapture() override {
    StopSampling();
    parts_.captures.Remove(target_);
  }

  Status StartSampling() {
    parts_.captures.Add(target_);
    is_sampling_ = true;
    return parts_.sampler.BeginCapture(pid_, period_ns());
  }
  void StopSampling() {
    if (!std::exchange(is_sampling_, false)) return;
    parts_.sampler.EndCapture(pid_, period_ns());
  }
  bool TargetExited() const {
    pollfd event = {pidfd_.get(), POLLIN, 0};
    return pidfd_ && poll(&event, 1, 0) > 0;
  }

  const CaptureTarget& target() const { return *target_; }
  uint64_t period_ns() const {
    return static_cast<uint64_t>(target_->period_ns);
  }
  uint64_t ring_losses_before = 0;

 private:
  const Parts& parts_;
  const int32_t pid_;
  const std::shared_ptr<const CaptureTarget> target_;
  const UniqueFd pidfd_;  // null for the whole host
  bool is_sampling_ = false;
};

LocalProfileService::LocalProfileService(const Parts& parts)
    : parts_(parts),
      host_([] {
        HostInfo host = ReadHostInfo();
        return fmt::format("host={} kernel={}", host.name, host.kernel_release);
      }()),
      heap_({parts.heap, parts.processes, parts.renderer, parts.clock, host_}) {
}

std::string LocalProfileService::HostDescription() { return host_; }

std::vector<ProcessRow> LocalProfileService::ListProcesses() {
  History::CpuUsage usage = parts_.history.RecentCpu(kRecentCpuNs);
  std::vector<ProcessRow> rows;
  std::vector<ProcessKey> alive;
  for (int32_t pid : ListPids()) {
    Result<ProcessDir> dir = ProcessDir::Open(kProcRoot, pid);
    if (!dir.ok()) continue;
    ProcessRow& row = rows.emplace_back(RowOf(*dir));
    row.cpu_percent = CpuPercent(usage, dir->key());
    alive.push_back(dir->key());
  }
  // Those that ended are worth a row while history has samples of them.
  for (const ProcessKey& key : parts_.history.Processes()) {
    if (std::binary_search(alive.begin(), alive.end(), key)) continue;
    std::optional<ProcessInfo> info = parts_.processes.Find(key);
    if (!info) continue;
    ProcessRow& row = rows.emplace_back(RowOf(*info));
    row.cpu_percent = CpuPercent(usage, key);
  }
  return rows;
}

Result<ProcessRow> LocalProfileService::DescribeProcess(int32_t pid) {
  History::CpuUsage usage = parts_.history.RecentCpu(kRecentCpuNs);
  Result<ProcessDir> dir = ProcessDir::Open(kProcRoot, pid);
  if (dir.ok()) {
    ProcessRow row = RowOf(*dir);
    row.cpu_percent = CpuPercent(usage, dir->key());
    row.heap_records = heap_.CountRecords(pid);
    return row;
  }
  std::optional<ProcessInfo> info = parts_.processes.FindByPid(pid);
  if (!info) return NoSuchProcess(pid);
  ProcessRow row = RowOf(*info);
  row.cpu_percent = CpuPercent(usage, info->key);
  return row;
}

Result<std::string> LocalProfileService::CommandLine(int32_t pid) {
  Result<ProcessDir> dir = ProcessDir::Open(kProcRoot, pid);
  if (!dir.ok()) return NoSuchProcess(pid);
  if (dir->IsKernelThread()) return "[" + dir->stat().comm + "]";
  return dir->ReadCmdline();
}

Result<ProcessDiagnostics> LocalProfileService::DiagnoseProcess(int32_t pid) {
  ProcessKey key;
  int64_t measured_ns = 0;
  parts_.catch_up();
  if (Result<ProcessDir> dir = ProcessDir::Open(kProcRoot, pid); dir.ok()) {
    key = dir->key();
    measured_ns = dir->stat().cpu_time_ns;
  } else if (auto info = parts_.processes.FindByPid(pid)) {
    key = info->key;
    measured_ns = info->exit_cpu_time_ns;
  } else {
    return NoSuchProcess(pid);
  }
  Coverage coverage = parts_.coverage.Find(key).value_or(Coverage{});
  ProcessDiagnostics diagnostics;
  diagnostics.sampled_cpu_seconds =
      static_cast<double>(coverage.sampled_ns) / 1e9;
  diagnostics.measured_cpu_seconds =
      static_cast<double>(measured_ns - coverage.baseline_ns) / 1e9;
  diagnostics.samples = coverage.samples;
  diagnostics.complete = coverage.complete;
  diagnostics.mixed = coverage.mixed;
  diagnostics.truncated = coverage.truncated;
  for (const auto& [reason, count] : coverage.reasons) {
    diagnostics.reasons.push_back(
        {LowerCase(ReasonCounterName(reason)), ReasonText(reason), count});
  }
  return diagnostics;
}

Result<ProcessExplanation> LocalProfileService::ExplainProcess(int32_t pid) {
  parts_.catch_up();
  Result<ProcessExplanation> explanation = parts_.explainer.Explain(pid);
  ReturnFreeMemory();
  return explanation;
}

std::vector<NamedCount> LocalProfileService::HostCounters() {
  std::vector<NamedCount> counts;
  counts.push_back({"idle_ticks", "ticks of a CPU clock on an idle CPU",
                    parts_.program.ReadReason(PPROFD_REASON_NONE)});
  for (uint32_t reason = 1; reason < PPROFD_MAX_REASONS; ++reason) {
    std::string name = LowerCase(ReasonCounterName(reason));
    if (name.empty()) continue;
    counts.push_back(
        {std::move(name), ReasonText(reason),
         parts_.program.ReadReason(reason) + GlobalReasonCounts().Get(reason)});
  }
  for (size_t i = 0; i < static_cast<size_t>(Counter::kCount); ++i) {
    Counter counter = static_cast<Counter>(i);
    const CounterInfo& info = Describe(counter);
    counts.push_back({std::string(info.name), std::string(info.text),
                      GlobalCounters().Get(counter)});
  }
  return counts;
}

uint64_t LocalProfileService::RingLosses() const {
  return parts_.program.ReadReason(PPROFD_REASON_RING_FULL);
}

Result<std::unique_ptr<Capture>> LocalProfileService::StartCapture(
    const CaptureRequest& request) {
  auto target = std::make_shared<CaptureTarget>();
  UniqueFd pidfd;
  if (request.pid != 0) {
    Result<ProcessDir> dir = ProcessDir::Open(kProcRoot, request.pid);
    if (!dir.ok() || dir->stat().has_exited()) {
      return NoSuchProcess(request.pid);
    }
    target->process = dir->key();
    pidfd.Reset(static_cast<int>(syscall(SYS_pidfd_open, request.pid, 0)));
  }
  target->period_ns = 1'000'000'000 / static_cast<int64_t>(request.hz);
  target->start = parts_.clock.Boot();
  target->buffer = std::make_shared<CaptureBuffer>(target->start);
  auto capture = std::make_unique<LocalCapture>(parts_, request.pid, target,
                                                std::move(pidfd));
  capture->ring_losses_before = RingLosses();
  RETURN_IF_ERROR(capture->StartSampling());
  return std::unique_ptr<Capture>(std::move(capture));
}

bool LocalProfileService::TargetExited(const Capture& capture) {
  return static_cast<const LocalCapture&>(capture).TargetExited();
}

std::vector<std::string> LocalProfileService::DescribeCollection(
    const std::optional<ProcessKey>& process, const std::string& how,
    const Aggregate& aggregate) const {
  std::vector<std::string> comments;
  if (process) {
    std::optional<ProcessInfo> info = parts_.processes.Find(*process);
    comments.push_back(fmt::format("pid {} comm={} exe={}", process->pid,
                                   info ? info->comm : "",
                                   info ? info->exe : ""));
  }
  comments.push_back(host_);
  comments.push_back(how);
  if (process) {
    if (auto coverage = parts_.coverage.Find(*process)) {
      Result<ProcessDir> dir = ProcessDir::Open(kProcRoot, *process);
      if (dir.ok()) {
        comments.push_back(fmt::format(
            "coverage: sampled {:.2f} s of {:.2f} s CPU time since sampling "
            "of this process began",
            static_cast<double>(coverage->sampled_ns) / 1e9,
            static_cast<double>(dir->stat().cpu_time_ns -
                                coverage->baseline_ns) /
                1e9));
      }
    }
  }
  if (aggregate.samples < 20) {
    comments.push_back(
        fmt::format("few samples ({}): shares are coarse", aggregate.samples));
  }
  return comments;
}

Result<EncodedProfile> LocalProfileService::FinishCapture(
    std::unique_ptr<Capture> capture, const RenderOptions& options) {
  auto& local = static_cast<LocalCapture&>(*capture);
  local.StopSampling();
  BootTime end = parts_.clock.Boot();
  bool exited = local.TargetExited();
  parts_.catch_up();
  const CaptureTarget& target = local.target();
  uint64_t lost = RingLosses() - local.ring_losses_before;
  if (lost > 0) {
    target.buffer->NoteLost(PPROFD_REASON_RING_FULL, static_cast<int64_t>(lost),
                            end);
  }
  Aggregate aggregate =
      target.buffer->Finish(end, FieldsFor(options), options.only_tid);
  std::vector<std::string> comments =
      DescribeCollection(target.process,
                         fmt::format("perf cpu-clock {} Hz, waiting query",
                                     1'000'000'000 / target.period_ns),
                         aggregate);
  if (exited) comments.push_back("the process exited during the capture");
  Result<EncodedProfile> profile =
      parts_.renderer.Render(aggregate,
                             {.process = target.process,
                              .period = target.period_ns,
                              .moment = {},
                              .comments = std::move(comments)},
                             options);
  if (profile.ok()) profile->process_exited = exited;
  return profile;
}

Result<EncodedProfile> LocalProfileService::QueryHistory(
    const HistoryRequest& request, const RenderOptions& options) {
  std::optional<ProcessKey> process;
  parts_.catch_up();
  if (request.pid != 0) {
    if (auto info = parts_.processes.FindByPid(request.pid)) {
      process = info->key;
    } else if (auto dir = ProcessDir::Open(kProcRoot, request.pid); dir.ok()) {
      process = dir->key();
    } else {
      return NoSuchProcess(request.pid);
    }
  }
  SampleFilter filter;
  filter.tid = options.only_tid;
  if (process) {
    filter.pid = process->pid;
    filter.start_ticks = process->start_ticks;
  }
  BootTime from = parts_.clock.ToBoot(request.from);
  BootTime to = std::min(parts_.clock.ToBoot(request.to), parts_.clock.Boot());
  Aggregate aggregate =
      parts_.history.Query(from, to, filter, FieldsFor(options));
  std::vector<std::string> comments = DescribeCollection(
      process,
      fmt::format("perf cpu-clock {} Hz, always on, from history",
                  1'000'000'000 / parts_.always_on_period_ns),
      aggregate);
  if (aggregate.start > from) {
    comments.push_back(
        fmt::format("history begins {:.1f} s after the time asked for",
                    static_cast<double>(aggregate.start.ns - from.ns) / 1e9));
  }
  return parts_.renderer.Render(aggregate,
                                {.process = process,
                                 .period = parts_.always_on_period_ns,
                                 .moment = {},
                                 .comments = std::move(comments)},
                                options);
}

Result<std::unique_ptr<HeapWatch>> LocalProfileService::WatchHeap(
    const HeapRequest& request) {
  return heap_.Watch(request);
}

bool LocalProfileService::TargetExited(const HeapWatch& watch) {
  return heap_.TargetExited(watch);
}

Result<EncodedProfile> LocalProfileService::RenderHeap(
    const HeapWatch& watch, const HeapView& view,
    const RenderOptions& options) {
  return heap_.Render(watch, view, options);
}

std::vector<std::pair<uint64_t, std::string>>
LocalProfileService::LookUpSymbols(int32_t pid,
                                   const std::vector<uint64_t>& addresses) {
  std::optional<ProcessInfo> info = parts_.processes.FindByPid(pid);
  if (!info) return {};
  return parts_.renderer.LookUp(*info, addresses);
}

}  // namespace pprofd
