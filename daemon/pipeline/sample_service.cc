#include "daemon/pipeline/sample_service.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "daemon/process/proc_files.h"

namespace pprofd {
namespace {

constexpr int64_t kFewSamples = 20;

Status NoSuchProcess(int32_t pid) {
  return Status(StatusCode::kNotFound, fmt::format("no such process: {}", pid));
}

SampleFilter FilterFor(const std::optional<ProcessKey>& process,
                       const RenderOptions& options) {
  SampleFilter filter;
  filter.tid = options.only_tid;
  if (process) {
    filter.pid = process->pid;
    filter.start_ticks = process->start_ticks;
  }
  return filter;
}

std::string CpuClock(int64_t period_ns) {
  return fmt::format("perf cpu-clock {} Hz", 1'000'000'000 / period_ns);
}

}  // namespace

// A running query: its event if its kind has some, its buffer, and its
// process's pidfd.
class SampleService::LocalCapture : public Capture {
 public:
  LocalCapture(const Parts& parts, int32_t pid,
               std::shared_ptr<const CaptureTarget> target, UniqueFd pidfd)
      : parts_(parts),
        pid_(pid),
        target_(std::move(target)),
        pidfd_(std::move(pidfd)),
        losses_before_(parts.program.ReadLosses(target_->kind)) {}
  ~LocalCapture() override {
    StopSampling();
    parts_.captures.Remove(target_);
  }

  Status StartSampling() {
    parts_.captures.Add(target_);
    if (target_->kind != ProfileKind::kCpu) return Status::Ok();
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
  uint64_t Losses() const {
    return parts_.program.ReadLosses(target_->kind) - losses_before_;
  }

  const CaptureTarget& target() const { return *target_; }

 private:
  uint64_t period_ns() const {
    return static_cast<uint64_t>(target_->period_ns);
  }

  const Parts& parts_;
  const int32_t pid_;
  const std::shared_ptr<const CaptureTarget> target_;
  const UniqueFd pidfd_;  // null for the whole host
  const uint64_t losses_before_;
  bool is_sampling_ = false;
};

Status SampleService::CheckKind(
    ProfileKind kind, const std::optional<ProcessKey>& process) const {
  const std::string& problem = CollectionOf(kind).problem;
  if (!problem.empty()) return Status(StatusCode::kUnsupported, problem);
  if (kind == ProfileKind::kCpu || !process) return Status::Ok();
  Result<ProcessDir> dir = ProcessDir::Open(kProcRoot, *process);
  if (dir.ok() && dir->IsKernelThread()) {
    return Status(StatusCode::kUnsupported, "a kernel thread has no user mode");
  }
  return Status::Ok();
}

Result<std::unique_ptr<Capture>> SampleService::StartCapture(
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
  RETURN_IF_ERROR(CheckKind(request.kind, target->process));
  target->kind = request.kind;
  target->period_ns = 1'000'000'000 / static_cast<int64_t>(request.hz);
  target->start = parts_.clock.Boot();
  target->buffer = std::make_shared<CaptureBuffer>(target->start);
  auto capture = std::make_unique<LocalCapture>(parts_, request.pid, target,
                                                std::move(pidfd));
  RETURN_IF_ERROR(capture->StartSampling());
  return std::unique_ptr<Capture>(std::move(capture));
}

bool SampleService::TargetExited(const Capture& capture) const {
  return static_cast<const LocalCapture&>(capture).TargetExited();
}

std::optional<std::string> SampleService::CommentCoverage(
    const ProcessKey& process) const {
  std::optional<Coverage> coverage = parts_.coverage.Find(process);
  if (!coverage) return std::nullopt;
  Result<ProcessDir> dir = ProcessDir::Open(kProcRoot, process);
  if (!dir.ok()) return std::nullopt;
  return fmt::format(
      "coverage: sampled {:.2f} s of {:.2f} s CPU time since sampling of this "
      "process began",
      static_cast<double>(coverage->sampled_ns) / 1e9,
      static_cast<double>(dir->stat().cpu_time_ns - coverage->baseline_ns) /
          1e9);
}

std::vector<std::string> SampleService::Comment(
    ProfileKind kind, const std::optional<ProcessKey>& process,
    const std::string& how, const Aggregate& aggregate) const {
  std::vector<std::string> comments;
  if (process) {
    std::optional<ProcessInfo> info = parts_.processes.Find(*process);
    comments.push_back(fmt::format("pid {} comm={} exe={}", process->pid,
                                   info ? info->comm : "",
                                   info ? info->exe : ""));
  }
  comments.push_back(parts_.host);
  comments.push_back(how);
  for (const std::string& limit : CollectionOf(kind).limits) {
    comments.push_back(limit);
  }
  if (process && kind == ProfileKind::kCpu) {
    if (auto coverage = CommentCoverage(*process)) {
      comments.push_back(std::move(*coverage));
    }
  }
  if (aggregate.records < kFewSamples) {
    comments.push_back(
        fmt::format("few samples ({}): shares are coarse", aggregate.records));
  }
  return comments;
}

Result<EncodedProfile> SampleService::FinishCapture(
    std::unique_ptr<Capture> capture, const RenderOptions& options) {
  auto& local = static_cast<LocalCapture&>(*capture);
  local.StopSampling();
  BootTime end = parts_.clock.Boot();
  bool exited = local.TargetExited();
  parts_.catch_up();
  const CaptureTarget& target = local.target();
  if (uint64_t lost = local.Losses(); lost > 0) {
    target.buffer->NoteLost(PPROFD_REASON_RING_FULL, static_cast<int64_t>(lost),
                            end);
  }
  Aggregate aggregate =
      target.buffer->Finish(end, FieldsFor(options), options.only_tid);
  const Collection& collection = CollectionOf(target.kind);
  bool is_cpu = target.kind == ProfileKind::kCpu;
  std::vector<std::string> comments =
      Comment(target.kind, target.process,
              (is_cpu ? CpuClock(target.period_ns) : collection.how) +
                  ", waiting query",
              aggregate);
  if (exited) comments.push_back("the process exited during the capture");
  Result<EncodedProfile> profile = parts_.renderer.Render(
      aggregate,
      {.kind = target.kind,
       .process = target.process,
       .period = is_cpu ? target.period_ns : collection.period,
       .moment = {},
       .comments = std::move(comments)},
      options);
  if (profile.ok()) profile->process_exited = exited;
  return profile;
}

Result<EncodedProfile> SampleService::QueryHistory(
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
  RETURN_IF_ERROR(CheckKind(request.kind, process));
  BootTime from = parts_.clock.ToBoot(request.from);
  BootTime to = std::min(parts_.clock.ToBoot(request.to), parts_.clock.Boot());
  Aggregate aggregate =
      parts_.histories.Of(request.kind)
          .Query(from, to, FilterFor(process, options), FieldsFor(options));
  const Collection& collection = CollectionOf(request.kind);
  std::vector<std::string> comments =
      Comment(request.kind, process,
              collection.how + ", always on, from history", aggregate);
  if (request.from.ns != 0 && aggregate.start > from) {
    comments.push_back(
        fmt::format("history begins {:.1f} s after the time asked for",
                    static_cast<double>(aggregate.start.ns - from.ns) / 1e9));
  }
  return parts_.renderer.Render(aggregate,
                                {.kind = request.kind,
                                 .process = process,
                                 .period = collection.period,
                                 .moment = {},
                                 .comments = std::move(comments)},
                                options);
}

uint64_t SampleService::CountStacks(ProfileKind kind,
                                    const ProcessKey& process) const {
  return parts_.histories.Of(kind)
      .Query({INT64_MIN}, {INT64_MAX}, FilterFor(process, {}), {})
      .rows.size();
}

}  // namespace pprofd
