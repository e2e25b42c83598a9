#include "daemon/pipeline/local_profile_service.h"

#include <fmt/format.h>

#include <algorithm>

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

LocalProfileService::LocalProfileService(const Parts& parts)
    : parts_(parts),
      host_([] {
        HostInfo host = ReadHostInfo();
        return fmt::format("host={} kernel={}", host.name, host.kernel_release);
      }()),
      samples_({parts.program, parts.sampler, parts.histories, parts.captures,
                parts.coverage, parts.processes, parts.renderer, parts.catch_up,
                parts.clock, parts.collections, host_}),
      heap_({parts.heap, parts.processes, parts.renderer, parts.clock, host_}) {
}

std::string LocalProfileService::HostDescription() { return host_; }

std::vector<ProcessRow> LocalProfileService::ListProcesses() {
  History::CpuUsage usage =
      parts_.histories.Of(ProfileKind::kCpu).RecentCpu(kRecentCpuNs);
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
  for (const ProcessKey& key : parts_.histories.Processes()) {
    if (std::binary_search(alive.begin(), alive.end(), key)) continue;
    std::optional<ProcessInfo> info = parts_.processes.Find(key);
    if (!info) continue;
    ProcessRow& row = rows.emplace_back(RowOf(*info));
    row.cpu_percent = CpuPercent(usage, key);
  }
  return rows;
}

Result<ProcessRow> LocalProfileService::DescribeProcess(int32_t pid) {
  History::CpuUsage usage =
      parts_.histories.Of(ProfileKind::kCpu).RecentCpu(kRecentCpuNs);
  Result<ProcessDir> dir = ProcessDir::Open(kProcRoot, pid);
  if (dir.ok()) {
    ProcessRow row = RowOf(*dir);
    row.cpu_percent = CpuPercent(usage, dir->key());
    row.records = CountRecords(dir->key());
    return row;
  }
  std::optional<ProcessInfo> info = parts_.processes.FindByPid(pid);
  if (!info) return NoSuchProcess(pid);
  ProcessRow row = RowOf(*info);
  row.cpu_percent = CpuPercent(usage, info->key);
  row.records = CountRecords(info->key);
  return row;
}

// Of CPU profiles Go counts none.
std::array<uint64_t, kProfileKinds> LocalProfileService::CountRecords(
    const ProcessKey& key) const {
  std::array<uint64_t, kProfileKinds> records{};
  for (ProfileKind kind : ProfileKinds()) {
    uint64_t& count = records[static_cast<size_t>(kind)];
    if (kind == ProfileKind::kHeap || kind == ProfileKind::kAllocs) {
      count = heap_.CountRecords(key.pid);
    } else if (kind != ProfileKind::kCpu) {
      count = samples_.CountStacks(kind, key);
    }
  }
  return records;
}

bool LocalProfileService::HasRss(int32_t pid) const {
  constexpr auto kRss = static_cast<size_t>(ProfileKind::kRss);
  if (!parts_.collections[kRss].problem.empty()) return false;
  Result<ProcessDir> dir = ProcessDir::Open(kProcRoot, pid);
  return dir.ok() && !dir->IsKernelThread();
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
  if (explanation.ok()) explanation->heap.has_rss = HasRss(pid);
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

Result<std::unique_ptr<Capture>> LocalProfileService::StartCapture(
    const CaptureRequest& request) {
  return samples_.StartCapture(request);
}

bool LocalProfileService::TargetExited(const Capture& capture) {
  return samples_.TargetExited(capture);
}

Result<EncodedProfile> LocalProfileService::FinishCapture(
    std::unique_ptr<Capture> capture, const RenderOptions& options) {
  return samples_.FinishCapture(std::move(capture), options);
}

Result<EncodedProfile> LocalProfileService::QueryHistory(
    const HistoryRequest& request, const RenderOptions& options) {
  return samples_.QueryHistory(request, options);
}

Result<std::unique_ptr<HeapWatch>> LocalProfileService::WatchHeap(
    const HeapRequest& request) {
  Result<std::unique_ptr<HeapWatch>> watch = heap_.Watch(request);
  if (watch.ok() || watch.status().code() != StatusCode::kUnsupported ||
      !HasRss(request.pid)) {
    return watch;
  }
  return Status(StatusCode::kUnsupported,
                fmt::format("{}; /debug/pprof/rss?pid={} shows what touches "
                            "memory first",
                            watch.status().message(), request.pid));
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
