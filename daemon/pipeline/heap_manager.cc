#include "daemon/pipeline/heap_manager.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include "daemon/pipeline/probed_heap.h"

namespace pprofd {
namespace {

using Nanoseconds = std::chrono::nanoseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::chrono::milliseconds kTick{100};
constexpr std::chrono::seconds kFindTime{10};
constexpr int kBeginTries = 3;

SteadyTime Now() { return std::chrono::steady_clock::now(); }

}  // namespace

// What is done to one process. Fields without a mark: constant.
class HeapManager::Session {
 public:
  int32_t pid = 0;
  UniqueFd pidfd;
  VirtualAddr first_mapping;  // another one when it runs another program
  std::shared_ptr<HeapTracking> tracking;
  std::unique_ptr<HeapSource> source;
  uint64_t losses_before = 0;

  mutable std::atomic<SteadyTime::rep> last_use{0};
  std::atomic<bool> is_over = false;  // it exited, or runs another program

  void Use() const { last_use.store(Now().time_since_epoch().count()); }
  bool HasExited() const {
    pollfd event = {pidfd.get(), POLLIN, 0};
    return pidfd && poll(&event, 1, 0) > 0;
  }
};

HeapManager::HeapManager(Parts parts, const Options& options)
    : parts_(std::move(parts)), finder_(parts_.symbolizer), options_(options) {}

void HeapManager::Start() {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "heap");
}

void HeapManager::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
  std::map<int32_t, SessionRef> sessions;
  {
    std::lock_guard lock(mutex_);
    sessions.swap(sessions_);
  }
  for (auto& [pid, session] : sessions) session->source->End();
  for (const SessionRef& session : TakeRetired()) session->source->End();
}

HeapManager::SessionRef HeapManager::FindSession(int32_t pid) const {
  std::lock_guard lock(mutex_);
  auto found = sessions_.find(pid);
  if (found == sessions_.end() || found->second->is_over) return nullptr;
  found->second->Use();  // with the lock, or it may be ended as idle now
  return found->second;
}

Result<HeapManager::SessionRef> HeapManager::Watch(int32_t pid,
                                                   uint64_t period_bytes,
                                                   bool* is_new) {
  parts_.drain();  // it may have begun another program
  SessionRef session = FindSession(pid);
  *is_new = false;
  if (!session) {
    std::lock_guard begin_lock(begin_mutex_);
    session = FindSession(pid);
    *is_new = session == nullptr;
    // It may run another program by the time that its probes are in place.
    for (int tries = 0; !session && tries < kBeginTries; ++tries) {
      ASSIGN_OR_RETURN(SessionRef begun, Begin(pid, period_bytes));
      if (!begun->is_over) session = std::move(begun);
    }
    if (!session) {
      return Status(StatusCode::kUnsupported,
                    "it runs one program after another");
    }
  }
  if (period_bytes != 0) {
    RETURN_IF_ERROR(session->source->SetPeriod(period_bytes));
  }
  return session;
}

// Its probes are taken out by the heap thread, as that takes long.
void HeapManager::Retire(const SessionRef& session) {
  trackings_.erase(session->tracking->number());
  retired_.push_back(session);
}

void HeapManager::ForgetEnded() {
  std::erase_if(sessions_, [this](const auto& entry) {
    if (!entry.second->is_over) return false;
    Retire(entry.second);
    return true;
  });
}

Result<HeapManager::SessionRef> HeapManager::Begin(int32_t pid,
                                                   uint64_t period_bytes) {
  BootTime since = parts_.clock.Boot();
  Result<ProcessDir> process = ProcessDir::Open(kProcRoot, pid);
  if (!process.ok() || process->stat().has_exited()) {
    return Status(StatusCode::kNotFound,
                  fmt::format("no such process: {}", pid));
  }
  if (process->IsKernelThread()) {
    return Status(StatusCode::kUnsupported, "a kernel thread has no heap");
  }
  if (pid == getpid()) {
    return Status(StatusCode::kUnsupported, "pprofd does not probe itself");
  }
  ASSIGN_OR_RETURN(FoundAllocators found,
                   finder_.Find(*process, Now() + kFindTime));
  auto session = std::make_shared<Session>();
  session->pid = pid;
  session->pidfd.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!session->pidfd) return Status::FromErrno(errno, "pidfd_open");
  session->first_mapping = found.first_mapping;
  session->losses_before = parts_.count_losses();
  uint32_t number;
  {
    std::lock_guard lock(mutex_);
    if (sessions_.size() >= options_.max_processes) ForgetEnded();
    if (sessions_.size() >= options_.max_processes &&
        !sessions_.contains(pid)) {
      return Status(StatusCode::kExhausted, "too many processes are tracked");
    }
    number = ++last_number_;
    session->tracking = std::make_shared<HeapTracking>(
        number, process->key(), since,
        HeapTracking::Options{.max_age_ns = options_.history_ns});
    trackings_[number] = session->tracking;
  }
  ProbedHeap::Options options = {
      .budget_cpus = options_.budget_cpus,
      .period_bytes = period_bytes != 0 ? period_bytes : options_.period_bytes,
      .max_live_blocks = options_.max_live_blocks};
  Result<std::unique_ptr<ProbedHeap>> source =
      ProbedHeap::Begin({parts_.probes, parts_.clock, parts_.drain,
                         [this](Nanoseconds time) { return WaitFor(time); }},
                        options, pid, std::move(found), session->tracking);
  {
    std::lock_guard lock(mutex_);
    if (!source.ok()) {
      trackings_.erase(number);
      return source.status();
    }
    session->source = std::move(*source);
    if (auto old = sessions_.find(pid); old != sessions_.end()) {
      Retire(old->second);
    }
    session->Use();
    sessions_[pid] = session;
  }
  // From here on OnExec would tell.
  if (!finder_.IsStill(*process, session->first_mapping)) {
    session->is_over = true;
  }
  return session;
}

bool HeapManager::HasExited(const Session& session) const {
  session.Use();  // who asks is waiting for it
  return session.HasExited();
}

size_t HeapManager::CountRecords(int32_t pid) const {
  std::lock_guard lock(mutex_);
  auto found = sessions_.find(pid);
  return found == sessions_.end() ? 0 : found->second->tracking->record_count();
}

std::shared_ptr<HeapTracking> HeapManager::FindTracking(uint32_t number) const {
  std::lock_guard lock(mutex_);
  auto found = trackings_.find(number);
  return found == trackings_.end() ? nullptr : found->second;
}

void HeapManager::OnAlloc(const Sample& sample) {
  if (auto tracking = FindTracking(sample.tracking)) tracking->OnAlloc(sample);
}

void HeapManager::OnFree(const FreeEvent& event) {
  if (auto tracking = FindTracking(event.tracking)) tracking->OnFree(event);
}

void HeapManager::OnExec(const ExecEvent& event) {
  std::lock_guard lock(mutex_);
  auto found = sessions_.find(event.process.pid);
  // The event may be older than the tracking.
  if (found != sessions_.end() &&
      event.time > found->second->tracking->since()) {
    found->second->is_over = true;
  }
}

std::vector<ModuleId> HeapManager::ModulesInUse() const {
  std::vector<std::shared_ptr<HeapTracking>> trackings;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [number, tracking] : trackings_) {
      trackings.push_back(tracking);
    }
  }
  std::vector<ModuleId> modules;
  for (const auto& tracking : trackings) {
    std::vector<ModuleId> used = tracking->ModulesInUse();
    modules.insert(modules.end(), used.begin(), used.end());
  }
  return modules;
}

void HeapManager::Run() {
  SteadyTime last = Now();
  while (WaitFor(kTick)) {
    SteadyTime now = Now();
    Nanoseconds elapsed = now - std::exchange(last, now);
    RetireIdle(now);
    for (const SessionRef& session : TakeRetired()) session->source->End();
    for (const SessionRef& session : Sessions()) {
      if (session->HasExited()) session->is_over = true;
      if (session->is_over) {
        session->source->End();
      } else {
        session->source->Tend(elapsed);
      }
    }
  }
}

void HeapManager::RetireIdle(SteadyTime now) {
  std::lock_guard lock(mutex_);
  std::erase_if(sessions_, [&](const auto& entry) {
    SteadyTime used(SteadyTime::duration(entry.second->last_use));
    if (now - used <= options_.idle_time) return false;
    Retire(entry.second);
    return true;
  });
}

std::vector<HeapManager::SessionRef> HeapManager::TakeRetired() {
  std::lock_guard lock(mutex_);
  return std::exchange(retired_, {});
}

bool HeapManager::WaitFor(Nanoseconds time) {
  std::unique_lock lock(mutex_);
  return !stopped_.wait_for(lock, time, [this] { return stopping_; });
}

std::vector<HeapManager::SessionRef> HeapManager::Sessions() const {
  std::lock_guard lock(mutex_);
  std::vector<SessionRef> sessions;
  sessions.reserve(sessions_.size());
  for (const auto& [pid, session] : sessions_) sessions.push_back(session);
  return sessions;
}

HeapSnapshot HeapManager::Snapshot(Session& session) const {
  session.Use();
  parts_.drain();
  HeapSnapshot snapshot = session.tracking->Snapshot(parts_.clock.Boot());
  Describe(session, &snapshot);
  return snapshot;
}

HeapSnapshot HeapManager::Between(Session& session, BootTime from,
                                  BootTime to) const {
  session.Use();
  parts_.drain();
  HeapSnapshot snapshot = session.tracking->Between(from, to);
  Describe(session, &snapshot);
  snapshot.totals = {};
  return snapshot;
}

void HeapManager::Describe(const Session& session,
                           HeapSnapshot* snapshot) const {
  session.source->Describe(snapshot);
  snapshot->process_exited = session.HasExited();
  if (uint64_t lost = parts_.count_losses() - session.losses_before; lost > 0) {
    snapshot->notes.push_back(fmt::format(
        "events lost, of any process: {}; blocks whose free was lost stay in "
        "inuse_*",
        lost));
  }
  if (session.is_over && !snapshot->process_exited) {
    snapshot->notes.push_back("it runs another program since: ask again");
  }
}

}  // namespace pprofd
