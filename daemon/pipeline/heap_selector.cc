#include "daemon/pipeline/heap_selector.h"

#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "daemon/base/telemetry.h"
#include "daemon/process/proc_files.h"

namespace pprofd {
namespace {

constexpr std::chrono::milliseconds kInterval{500};
constexpr std::chrono::milliseconds kMinInterval{50};  // in storms of programs
// Of one program: its libraries are in place soon after it began, and what it
// allocates first may be long after.
constexpr int kMaxTries = 20;
constexpr std::chrono::seconds kLogInterval{10};
constexpr size_t kMaxExecuted = 4096;

}  // namespace

void HeapSelector::Start() {
  if (selection_.empty()) return;
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "heap selector");
}

void HeapSelector::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void HeapSelector::OnExec(int32_t pid) {
  if (selection_.empty()) return;
  {
    std::lock_guard lock(mutex_);
    // A storm of short programs: who stays is found among all processes.
    if (executed_.size() >= kMaxExecuted) return;
    executed_.push_back(pid);
  }
  changed_.notify_all();
}

void HeapSelector::Run() {
  do {
    FindNew();
    for (auto it = candidates_.begin(); it != candidates_.end();) {
      bool is_done = Try(it->first, it->second++);
      it = is_done ? candidates_.erase(it) : std::next(it);
    }
    std::erase_if(tracked_,
                  [this](int32_t pid) { return !heap_.KeepTracking(pid); });
  } while (Wait());
}

bool HeapSelector::Wait() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kMinInterval, [this] { return stopping_; });
  changed_.wait_for(lock, kInterval - kMinInterval,
                    [this] { return stopping_ || !executed_.empty(); });
  for (int32_t pid : std::exchange(executed_, {})) candidates_[pid] = 0;
  return !stopping_;
}

void HeapSelector::FindNew() {
  std::vector<int32_t> pids = ListPids();
  std::set<int32_t> now(pids.begin(), pids.end());
  for (int32_t pid : now) {
    if (!seen_.contains(pid)) candidates_.try_emplace(pid, 0);
  }
  seen_ = std::move(now);
}

bool HeapSelector::Try(int32_t pid, int tries) {
  Result<ProcessDir> process = ProcessDir::Open(kProcRoot, pid);
  if (!process.ok() || process->IsKernelThread()) return true;
  Result<std::string> exe = process->ReadExe();
  Result<std::string> groups = process->ReadCgroup();
  if (!selection_.Matches(exe.ok() ? *exe : "", groups.ok() ? *groups : "")) {
    return true;
  }
  bool is_new = false;
  Status status = heap_.Watch(pid, 0, &is_new).status();
  if (status.ok()) {
    tracked_.insert(pid);
    return true;
  }
  if (tries < kMaxTries) return false;
  LogRefusal(pid, status);
  return true;
}

void HeapSelector::LogRefusal(int32_t pid, const Status& status) {
  auto now = std::chrono::steady_clock::now();
  if (now < next_log_) return;
  next_log_ = now + kLogInterval;
  spdlog::warn("the heap of process {} is selected, but not tracked: {}", pid,
               status.message());
}

}  // namespace pprofd
