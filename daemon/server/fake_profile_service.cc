#include "daemon/server/fake_profile_service.h"

namespace pprofd {
namespace {

const std::vector<ProcessRow>& Processes() {
  static const std::vector<ProcessRow> processes = {
      {2, "kthreadd", "", "", 0.5, 1, true, false},
      {7,
       "worker",
       "/usr/bin/worker",
       "worker --threads 4",
       150.0,
       5,
       false,
       false,
       {0, 3, 3, 4}},
      {9, "<b>&'\"", "/tmp/<script>", "x <script>alert(1)</script>", 1.0, 1,
       false, false},
      {8, "gone", "/usr/bin/gone", "gone", 0, 0, false, true},
  };
  return processes;
}

Status NotFound(int32_t pid) {
  return Status(StatusCode::kNotFound,
                "no such process: " + std::to_string(pid));
}

std::string Body(const RenderOptions& options) {
  if (options.format == ProfileFormat::kCollapsed) {
    return "main;work;leaf 3\n";
  }
  if (options.format == ProfileFormat::kText) return "heap profile: ";
  return std::string("\x1f\x8b\x08\x00profile", 11);
}

}  // namespace

class FakeProfileService::FakeCapture : public Capture {
 public:
  explicit FakeCapture(FakeProfileService* service) : service_(service) {
    std::lock_guard lock(service_->mutex_);
    ++service_->running_;
    ++service_->started_;
    service_->changed_.notify_all();
  }
  ~FakeCapture() override {
    std::lock_guard lock(service_->mutex_);
    --service_->running_;
    service_->changed_.notify_all();
  }

 private:
  FakeProfileService* const service_;
};

std::vector<ProcessRow> FakeProfileService::ListProcesses() {
  return Processes();
}

Result<ProcessRow> FakeProfileService::DescribeProcess(int32_t pid) {
  for (const ProcessRow& row : Processes()) {
    if (row.pid == pid) return row;
  }
  return NotFound(pid);
}

Result<std::string> FakeProfileService::CommandLine(int32_t pid) {
  if (pid == kPid)
    return std::string(
        "worker\0--threads\0"
        "4",
        18);
  if (pid == kKernelPid) return std::string("[kthreadd]");
  return NotFound(pid);
}

Result<ProcessDiagnostics> FakeProfileService::DiagnoseProcess(int32_t pid) {
  if (!DescribeProcess(pid).ok()) return NotFound(pid);
  ProcessDiagnostics diagnostics;
  diagnostics.sampled_cpu_seconds = 9.5;
  diagnostics.measured_cpu_seconds = 10;
  diagnostics.samples = 200;
  diagnostics.complete = 190;
  diagnostics.mixed = 6;
  diagnostics.truncated = 4;
  diagnostics.reasons = {{"no unwind rows", "", 4}};
  return diagnostics;
}

Result<ProcessExplanation> FakeProfileService::ExplainProcess(int32_t pid) {
  if (!DescribeProcess(pid).ok()) return NotFound(pid);
  {
    std::lock_guard lock(mutex_);
    ++explained_;
  }
  ProcessExplanation explanation;
  explanation.exited = pid == kExitedPid;
  explanation.is_kernel_thread = pid == kKernelPid;
  explanation.system = "Debian <12>";
  ModuleFacts module;
  module.path = "/usr/bin/<script>alert(1)</script>";
  module.build_id = "abcdef01";
  module.samples = 12;
  module.unwind.state = UnwindFacts::State::kBuilt;
  module.unwind.rows = 321;
  module.unwind.eh_frame_functions = 20;
  module.symbols.is_known = true;
  module.symbols.has_dynsym = true;
  module.symbols.attempts = {"no \"DWARF\" <here>"};
  module.missing = {"DWARF"};
  module.advice = {{"install <it>", "apt-get install 'x & y'"}};
  explanation.modules.push_back(module);
  return explanation;
}

std::vector<NamedCount> FakeProfileService::HostCounters() {
  return {{"samples_read", "samples decoded", 1234}, {"ring full", "", 2}};
}

Result<std::unique_ptr<Capture>> FakeProfileService::StartCapture(
    const CaptureRequest& request) {
  {
    std::lock_guard lock(mutex_);
    if (!start_status_.ok()) return start_status_;
    last_capture_ = request;
  }
  if (request.pid == kKernelPid) {
    return Status(StatusCode::kUnsupported, "it is a kernel thread");
  }
  bool is_alive =
      request.pid == 0 || request.pid == kPid || request.pid == kHostilePid;
  if (!is_alive) return NotFound(request.pid);
  return std::unique_ptr<Capture>(std::make_unique<FakeCapture>(this));
}

bool FakeProfileService::TargetExited(const Capture&) {
  return Locked(&FakeProfileService::target_exited_);
}

Result<EncodedProfile> FakeProfileService::FinishCapture(
    std::unique_ptr<Capture> capture, const RenderOptions& options) {
  {
    std::unique_lock lock(mutex_);
    last_render_ = options;
    blocked_ = block_finish_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !block_finish_; });
    ++finished_;
  }
  capture.reset();
  return EncodedProfile{Body(options), false};
}

Result<EncodedProfile> FakeProfileService::QueryHistory(
    const HistoryRequest& request, const RenderOptions& options) {
  if (request.pid != 0 && !DescribeProcess(request.pid).ok()) {
    return NotFound(request.pid);
  }
  std::lock_guard lock(mutex_);
  if (!history_status_.ok()) return history_status_;
  last_history_ = request;
  last_render_ = options;
  return EncodedProfile{Body(options), false};
}

class FakeProfileService::FakeWatch : public HeapWatch {
 public:
  explicit FakeWatch(bool is_new) : HeapWatch(is_new) {}
};

Result<std::unique_ptr<HeapWatch>> FakeProfileService::WatchHeap(
    const HeapRequest& request) {
  std::lock_guard lock(mutex_);
  if (!start_status_.ok()) return start_status_;
  if (request.pid == kKernelPid) {
    return Status(StatusCode::kUnsupported, "a kernel thread has no heap");
  }
  if (request.pid != kPid) return NotFound(request.pid);
  last_heap_ = request;
  return std::unique_ptr<HeapWatch>(std::make_unique<FakeWatch>(watch_is_new_));
}

bool FakeProfileService::TargetExited(const HeapWatch&) {
  return Locked(&FakeProfileService::target_exited_);
}

Result<EncodedProfile> FakeProfileService::RenderHeap(
    const HeapWatch&, const HeapView& view, const RenderOptions& options) {
  std::lock_guard lock(mutex_);
  last_view_ = view;
  last_render_ = options;
  ++finished_;
  return EncodedProfile{view.is_text ? "heap profile: " : Body(options), false};
}

void FakeProfileService::SetWatchIsNew(bool is_new) {
  std::lock_guard lock(mutex_);
  watch_is_new_ = is_new;
}

std::vector<std::pair<uint64_t, std::string>> FakeProfileService::LookUpSymbols(
    int32_t pid, const std::vector<uint64_t>& addresses) {
  std::lock_guard lock(mutex_);
  last_symbol_pid_ = pid;
  std::vector<std::pair<uint64_t, std::string>> names;
  for (uint64_t address : addresses) {
    if (address >= 0x1000) names.emplace_back(address, "ns::hot(int)");
  }
  return names;
}

bool FakeProfileService::WaitFor(const std::function<bool()>& condition) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(10), condition);
}

bool FakeProfileService::WaitForRunning(int count) {
  return WaitFor([this, count] { return running_ == count; });
}

void FakeProfileService::LetTargetExit() {
  std::lock_guard lock(mutex_);
  target_exited_ = true;
}

void FakeProfileService::FailStart(Status status) {
  std::lock_guard lock(mutex_);
  start_status_ = std::move(status);
}

void FakeProfileService::FailHistory(Status status) {
  std::lock_guard lock(mutex_);
  history_status_ = std::move(status);
}

void FakeProfileService::BlockFinish() {
  std::lock_guard lock(mutex_);
  block_finish_ = true;
}

bool FakeProfileService::WaitForBlocked() {
  return WaitFor([this] { return blocked_; });
}

void FakeProfileService::Release() {
  std::lock_guard lock(mutex_);
  block_finish_ = false;
  changed_.notify_all();
}

}  // namespace pprofd
