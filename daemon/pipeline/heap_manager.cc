#include "daemon/pipeline/heap_manager.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <utility>

#include "daemon/base/telemetry.h"

namespace pprofd {
namespace {

using Nanoseconds = std::chrono::nanoseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::chrono::milliseconds kTick{100};

SteadyTime Now() { return std::chrono::steady_clock::now(); }

}  // namespace

// What is done to one process. Fields without a mark: constant.
class HeapManager::Session {
 public:
  int32_t pid = 0;
  UniqueFd pidfd;
  FoundAllocators found;
  std::shared_ptr<HeapTracking> tracking;
  ProbeCost cost;
  uint64_t losses_before = 0;

  std::atomic<SteadyTime::rep> last_use{0};
  std::atomic<bool> is_over = false;  // it exited, or runs another program

  mutable std::mutex mutex;
  // Guarded by mutex:
  std::unique_ptr<HeapTarget> target;
  uint64_t period_bytes = 0;
  uint64_t times_doubled = 0;
  HeapBudget budget{0};
  uint64_t hits_booked = 0;
  std::string problem;  // why probes are not attached
  bool is_in_windows = false;
  SteadyTime next_window;
  SteadyTime last_window_end;

  // What so many hits cost; of calls that allocate where there are no sessions
  // twice that.
  Nanoseconds CostOf(uint64_t hits) const {
    int64_t each = found.is_emulated() ? cost.emulated_ns : cost.stepped_ns;
    return Nanoseconds(static_cast<int64_t>(hits) * each);
  }
  void Use() { last_use.store(Now().time_since_epoch().count()); }
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
  for (auto& [pid, session] : sessions) {
    std::lock_guard lock(session->mutex);
    session->target.reset();
  }
}

Result<HeapManager::SessionRef> HeapManager::Watch(int32_t pid,
                                                   uint64_t period_bytes,
                                                   bool* is_new) {
  std::lock_guard begin_lock(begin_mutex_);
  SessionRef session;
  {
    std::lock_guard lock(mutex_);
    auto found = sessions_.find(pid);
    if (found != sessions_.end()) session = found->second;
  }
  *is_new = !session || session->is_over;
  if (*is_new) {
    ASSIGN_OR_RETURN(session, Begin(pid, period_bytes));
  }
  session->Use();
  if (period_bytes != 0) {
    std::lock_guard lock(session->mutex);
    session->period_bytes = period_bytes;
    if (session->target) session->target->SetPeriod(period_bytes);
  }
  return session;
}

// Who has its answer holds what it needs.
void HeapManager::ForgetEnded() {
  std::erase_if(sessions_, [this](const auto& entry) {
    if (!entry.second->is_over) return false;
    trackings_.erase(entry.second->tracking->number());
    return true;
  });
}

Result<HeapManager::SessionRef> HeapManager::Begin(int32_t pid,
                                                   uint64_t period_bytes) {
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
  ASSIGN_OR_RETURN(ProbeCost cost, parts_.probes.Calibrate());
  ASSIGN_OR_RETURN(FoundAllocators found, finder_.Find(*process));
  auto session = std::make_shared<Session>();
  session->pid = pid;
  session->pidfd.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  session->found = std::move(found);
  session->cost = cost;
  session->losses_before = parts_.count_losses();
  session->period_bytes =
      period_bytes != 0 ? period_bytes : options_.period_bytes;
  session->budget = HeapBudget(options_.budget_cpus);
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
        number, process->key(), parts_.clock.Boot(),
        HeapTracking::Options{.max_age_ns = options_.history_ns});
    trackings_[number] = session->tracking;
  }
  Result<std::unique_ptr<HeapTarget>> target =
      parts_.probes.Open(pid, number, session->period_bytes);
  Status status = target.status();
  if (status.ok()) {
    session->target = std::move(*target);
    status = session->target->Attach(session->found.probe_sets(), true);
    session->target->SetOpen(true);
  }
  std::lock_guard lock(mutex_);
  if (!status.ok()) {
    trackings_.erase(number);
    return status;
  }
  if (auto old = sessions_.find(pid); old != sessions_.end()) {
    trackings_.erase(old->second->tracking->number());
  }
  sessions_[pid] = session;
  return session;
}

bool HeapManager::HasExited(const Session& session) const {
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
    for (const SessionRef& session : Sessions()) {
      bool is_idle = now - SteadyTime(SteadyTime::duration(session->last_use)) >
                     options_.idle_time;
      {
        std::lock_guard lock(session->mutex);
        if (session->HasExited()) session->is_over = true;
        if (is_idle || session->is_over) {
          EndProbes(*session);
        } else {
          Tend(*session, elapsed);
        }
      }
      if (!is_idle) continue;
      std::lock_guard lock(mutex_);
      trackings_.erase(session->tracking->number());
      auto found = sessions_.find(session->pid);
      if (found != sessions_.end() && found->second == session) {
        sessions_.erase(found);
      }
    }
  }
}

bool HeapManager::WaitFor(Nanoseconds time) {
  std::unique_lock lock(mutex_);
  return !stopped_.wait_for(lock, time, [this] { return stopping_; });
}

std::vector<HeapManager::SessionRef> HeapManager::Sessions() const {
  std::lock_guard lock(mutex_);
  std::vector<SessionRef> sessions;
  for (const auto& [pid, session] : sessions_) sessions.push_back(session);
  return sessions;
}

void HeapManager::Tend(Session& session, Nanoseconds elapsed) {
  if (!session.target || !session.problem.empty()) return;
  if (!session.is_in_windows) {
    BookHits(session, elapsed);
  } else if (Now() >= session.next_window) {
    WatchWindow(session);
  }
  LimitSamples(session);
}

void HeapManager::BookHits(Session& session, Nanoseconds elapsed) const {
  uint64_t hits = session.target->ReadCounts().hits;
  Nanoseconds cost =
      session.CostOf(hits - std::exchange(session.hits_booked, hits));
  if (session.budget.Book(elapsed, cost)) return;
  GoOverToWindows(session, session.budget.GapAfter(elapsed, cost));
}

void HeapManager::GoOverToWindows(Session& session, Nanoseconds gap) const {
  session.target->SetOpen(false);
  session.target->Detach();
  parts_.drain();
  session.target->ForgetBlocks(session.tracking->LiveBlocks());
  session.tracking->StopWatchingFrees();
  session.is_in_windows = true;
  session.last_window_end = Now();
  session.next_window = session.last_window_end + gap;
}

// The hits are those of the whole time that probes were in place, so what
// attaching and detaching took is paid for, too.
void HeapManager::WatchWindow(Session& session) {
  SteadyTime attached = Now();
  Status status = session.target->Attach(session.found.probe_sets(), false);
  if (!status.ok()) {
    session.problem = status.message();
    return;
  }
  SteadyTime start = Now();
  session.target->SetOpen(true);
  bool goes_on = WaitFor(HeapBudget::kWindow);
  session.target->SetOpen(false);
  SteadyTime end = Now();
  session.target->Detach();
  if (!goes_on) return;
  parts_.drain();
  session.tracking->EndWindow(
      std::chrono::duration<double>(end - session.last_window_end) /
      std::chrono::duration<double>(end - start));
  session.last_window_end = end;
  uint64_t hits = session.target->ReadCounts().hits;
  Nanoseconds cost =
      session.CostOf(hits - std::exchange(session.hits_booked, hits));
  Nanoseconds lasted = Now() - attached;
  session.next_window = Now() + session.budget.GapAfter(lasted, cost);
  if (session.budget.Affords(lasted, cost)) GoBackToAll(session);
}

void HeapManager::GoBackToAll(Session& session) const {
  Status status = session.target->Attach(session.found.probe_sets(), true);
  if (!status.ok()) {
    session.problem = status.message();
    return;
  }
  session.budget.Reset();
  session.is_in_windows = false;
  session.tracking->StartWatchingFrees(parts_.clock.Boot());
  session.target->SetOpen(true);
}

void HeapManager::LimitSamples(Session& session) const {
  if (session.tracking->live_count() <=
      options_.max_live_blocks
          << std::min<uint64_t>(session.times_doubled, 8)) {
    return;
  }
  ++session.times_doubled;
  session.period_bytes *= 2;
  session.target->SetPeriod(session.period_bytes);
}

void HeapManager::EndProbes(Session& session) const {
  if (!session.target) return;
  session.target->SetOpen(false);
  session.target->Detach();
  parts_.drain();
  session.target->ForgetBlocks(session.tracking->LiveBlocks());
  session.target.reset();
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
  std::lock_guard lock(session.mutex);
  snapshot->source = fmt::format(
      "uprobes ({}) on {}", session.cost.has_sessions ? "sessions" : "pairs",
      session.found.description());
  snapshot->process_exited = session.HasExited();
  snapshot->period_bytes = session.period_bytes;
  if (session.target) {
    pprofd_heap_counts counts = session.target->ReadCounts();
    snapshot->totals = {.allocs = counts.allocs,
                        .alloc_bytes = counts.alloc_bytes,
                        .frees = counts.frees};
    snapshot->notes.push_back(
        fmt::format("calls of the allocator watched: {}, at {} ns each",
                    counts.hits, session.CostOf(1).count()));
  }
  if (uint64_t lost = parts_.count_losses() - session.losses_before; lost > 0) {
    snapshot->notes.push_back(fmt::format(
        "events lost, of any process, ring buffer full: {}; blocks whose free "
        "was lost stay in inuse_*",
        lost));
  }
  if (!session.found.is_emulated()) {
    snapshot->notes.push_back(
        "some probes are single-stepped by the kernel: they cost more");
  }
  if (session.is_in_windows) {
    snapshot->notes.push_back(fmt::format(
        "it allocates too often to watch every call for {:.3g} % of a CPU: "
        "alloc_* are of windows of time, scaled; inuse_* are not available",
        options_.budget_cpus * 100));
  }
  if (session.times_doubled > 0) {
    snapshot->notes.push_back(
        fmt::format("too many sampled blocks live: period doubled {} times, "
                    "now {} bytes",
                    session.times_doubled, session.period_bytes));
  }
  if (!session.problem.empty()) {
    snapshot->notes.push_back("probes are not attached: " + session.problem);
  }
  if (session.is_over && !snapshot->process_exited) {
    snapshot->notes.push_back("it runs another program since: ask again");
  }
}

}  // namespace pprofd
