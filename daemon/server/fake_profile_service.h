// FakeProfileService: answers of a made-up host, and what was asked of it.
//
// Thread: locks itself: mutex_.
#ifndef DAEMON_SERVER_FAKE_PROFILE_SERVICE_H_
#define DAEMON_SERVER_FAKE_PROFILE_SERVICE_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/model/profile_service.h"

namespace pprofd {

class FakeProfileService : public ProfileService {
 public:
  static constexpr int32_t kPid = 7;         // "worker", alive
  static constexpr int32_t kExitedPid = 8;   // in history only
  static constexpr int32_t kHostilePid = 9;  // a name full of HTML
  static constexpr int32_t kKernelPid = 2;   // cannot be profiled
  static constexpr int32_t kDeadPid = 99;

  std::vector<ProcessRow> ListProcesses() override;
  Result<ProcessRow> DescribeProcess(int32_t pid) override;
  Result<std::string> CommandLine(int32_t pid) override;
  Result<ProcessDiagnostics> DiagnoseProcess(int32_t pid) override;
  Result<ProcessExplanation> ExplainProcess(int32_t pid) override;
  std::vector<NamedCount> HostCounters() override;
  Result<std::unique_ptr<Capture>> StartCapture(
      const CaptureRequest& request) override;
  bool TargetExited(const Capture& capture) override;
  Result<EncodedProfile> FinishCapture(std::unique_ptr<Capture> capture,
                                       const RenderOptions& options) override;
  Result<EncodedProfile> QueryHistory(const HistoryRequest& request,
                                      const RenderOptions& options) override;
  Result<std::unique_ptr<HeapWatch>> WatchHeap(
      const HeapRequest& request) override;
  bool TargetExited(const HeapWatch& watch) override;
  Result<EncodedProfile> RenderHeap(const HeapWatch& watch,
                                    const HeapView& view,
                                    const RenderOptions& options) override;
  std::vector<std::pair<uint64_t, std::string>> LookUpSymbols(
      int32_t pid, const std::vector<uint64_t>& addresses) override;
  std::string HostDescription() override { return "host=test kernel=6.1"; }

  // Waits until `count` captures run; false after 10 s.
  bool WaitForRunning(int count);
  // From now on the captured process is gone.
  void LetTargetExit();
  // StartCapture fails with this.
  void FailStart(Status status);
  // QueryHistory fails with this.
  void FailHistory(Status status);
  // Work blocks in FinishCapture until Release; WaitForBlocked tells when.
  void BlockFinish();
  bool WaitForBlocked();
  void Release();

  int started() const { return Locked(&FakeProfileService::started_); }
  int finished() const { return Locked(&FakeProfileService::finished_); }
  CaptureRequest last_capture() const {
    return Locked(&FakeProfileService::last_capture_);
  }
  std::optional<HistoryRequest> last_history() const {
    return Locked(&FakeProfileService::last_history_);
  }
  RenderOptions last_render() const {
    return Locked(&FakeProfileService::last_render_);
  }
  // Watches begin new from now on, or do not.
  void SetWatchIsNew(bool is_new);
  HeapRequest last_heap() const {
    return Locked(&FakeProfileService::last_heap_);
  }
  HeapView last_view() const { return Locked(&FakeProfileService::last_view_); }
  int explained() const { return Locked(&FakeProfileService::explained_); }
  int32_t last_symbol_pid() const {
    return Locked(&FakeProfileService::last_symbol_pid_);
  }

 private:
  class FakeCapture;
  class FakeWatch;

  template <typename T>
  T Locked(T FakeProfileService::* field) const {
    std::lock_guard lock(mutex_);
    return this->*field;
  }
  bool WaitFor(const std::function<bool()>& condition);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int running_ = 0;
  int started_ = 0;
  int finished_ = 0;
  int explained_ = 0;
  bool target_exited_ = false;
  bool block_finish_ = false;
  bool blocked_ = false;
  Status start_status_;
  Status history_status_;
  CaptureRequest last_capture_;
  std::optional<HistoryRequest> last_history_;
  RenderOptions last_render_;
  bool watch_is_new_ = false;
  HeapRequest last_heap_;
  HeapView last_view_;
  int32_t last_symbol_pid_ = 0;
};

}  // namespace pprofd

#endif  // DAEMON_SERVER_FAKE_PROFILE_SERVICE_H_
