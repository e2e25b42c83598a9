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

namespace pprofd {
namespace {

using Nanoseconds = std::chrono::nanoseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::chrono::milliseconds kTick{100};
constexpr std::chrono::seconds kFindTime{10};
constexpr int kBeginTries = 3;
constexpr std::chrono::seconds kRenewalInterval{1};
constexpr size_t kManyRecords = 32'768;

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

  mutable std::atomic<SteadyTime::rep> last_use{0};
  std::atomic<bool> is_over = false;  // it exited, or runs another program

  // Heap thread:
  HeapBudget budget{0};
  uint64_t hits_booked = 0;
  uint64_t sampling_ns_booked = 0;
  uint64_t forks_seen = 0;
  SteadyTime next_renewal;
  SteadyTime next_window;
  SteadyTime last_window_end;

  // Held for moments only: attaching and detaching take long.
  mutable std::mutex mutex;
  // Guarded by mutex; changed by the heap thread, but for the period:
  std::unique_ptr<HeapTarget> target;
  pprofd_heap_counts last_counts{};  // of a target that is gone
  uint64_t period_bytes = 0;
  uint64_t times_doubled = 0;
  std::string problem;  // why probes are not attached
  bool is_in_windows = false;
  Nanoseconds in_windows{0};  // how long it was so

  // What one hit costs beside so many other targets.
  int64_t NsPerHit(int others) const {
    return (found.is_emulated() ? cost.emulated_ns : cost.stepped_ns) +
           cost.per_other_ns * std::max(others, 0);
  }
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
  for (auto& [pid, session] : sessions) {
    std::lock_guard lock(session->mutex);
    session->target.reset();
  }
  TakeRetired();
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
    std::lock_guard lock(session->mutex);
    session->period_bytes = period_bytes;
    if (session->target) session->target->SetPeriod(period_bytes);
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
  ASSIGN_OR_RETURN(ProbeCost cost, parts_.probes.Calibrate());
  ASSIGN_OR_RETURN(FoundAllocators found,
                   finder_.Find(*process, Now() + kFindTime));
  auto session = std::make_shared<Session>();
  session->pid = pid;
  session->pidfd.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!session->pidfd) return Status::FromErrno(errno, "pidfd_open");
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
        number, process->key(), since,
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
  {
    std::lock_guard lock(mutex_);
    if (!status.ok()) {
      trackings_.erase(number);
      return status;
    }
    if (auto old = sessions_.find(pid); old != sessions_.end()) {
      Retire(old->second);
    }
    session->Use();
    sessions_[pid] = session;
  }
  // From here on OnExec would tell.
  if (!finder_.IsStill(*process, session->found)) session->is_over = true;
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
    for (const SessionRef& session : TakeRetired()) EndProbes(*session);
    for (const SessionRef& session : Sessions()) {
      if (session->HasExited()) session->is_over = true;
      if (session->is_over) {
        EndProbes(*session);
      } else {
        Tend(*session, elapsed);
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

void HeapManager::Tend(Session& session, Nanoseconds elapsed) {
  if (!session.target) return;
  if (!session.is_in_windows) {
    RenewAfterFork(session);
    BookHits(session, elapsed);
  } else if (Now() >= session.next_window) {
    WatchWindow(session);
  }
  LimitSamples(session);
}

// What the hits since the last call have cost.
Nanoseconds HeapManager::CostSoFar(Session& session, int others) {
  pprofd_heap_counts counts = session.target->ReadCounts();
  uint64_t hits = counts.hits - std::exchange(session.hits_booked, counts.hits);
  uint64_t sampling_ns =
      counts.sampling_ns -
      std::exchange(session.sampling_ns_booked, counts.sampling_ns);
  return Nanoseconds(static_cast<int64_t>(hits) * session.NsPerHit(others) +
                     static_cast<int64_t>(sampling_ns));
}

void HeapManager::BookHits(Session& session, Nanoseconds elapsed) const {
  Nanoseconds cost = CostSoFar(session, parts_.probes.attached() - 1);
  if (session.budget.Book(elapsed, cost)) return;
  GoOverToWindows(session, session.budget.GapAfter(elapsed, cost));
}

// Children have the breakpoints of their parent, until those are taken out.
void HeapManager::RenewAfterFork(Session& session) const {
  uint64_t forks = session.target->forks();
  if (forks == session.forks_seen || Now() < session.next_renewal) return;
  session.forks_seen = forks;
  session.next_renewal = Now() + kRenewalInterval;
  Status status = session.target->Attach(session.found.probe_sets(), true);
  if (status.ok()) return;
  NoteProblem(session, status);
  GoOverToWindows(session, HeapBudget::kMinGap);
}

void HeapManager::GoOverToWindows(Session& session, Nanoseconds gap) const {
  session.target->SetOpen(false);
  session.target->Detach();
  parts_.drain();
  session.target->ForgetBlocks();
  session.tracking->StopWatchingFrees();
  session.last_window_end = Now();
  {
    std::lock_guard lock(session.mutex);
    session.is_in_windows = true;
  }
  session.next_window = session.last_window_end + gap;
}

// The hits are those of the whole time that probes were in place, so what
// attaching and detaching took is paid for, too.
void HeapManager::WatchWindow(Session& session) {
  SteadyTime attached = Now();
  Status status = session.target->Attach(session.found.probe_sets(), false);
  NoteProblem(session, status);
  if (!status.ok()) {
    session.next_window = Now() + HeapBudget::kMaxGap;
    return;
  }
  SteadyTime start = Now();
  session.target->SetOpen(true);
  bool goes_on = WaitFor(HeapBudget::kWindow);
  session.target->SetOpen(false);
  SteadyTime end = Now();
  int others = parts_.probes.attached() - 1;
  session.target->Detach();
  if (!goes_on) return;
  parts_.drain();
  session.tracking->EndWindow(
      std::chrono::duration<double>(end - session.last_window_end) /
      std::chrono::duration<double>(end - start));
  {
    std::lock_guard lock(session.mutex);
    session.in_windows += end - session.last_window_end;
  }
  session.last_window_end = end;
  Nanoseconds cost = CostSoFar(session, others);
  Nanoseconds lasted = Now() - attached;
  session.next_window = Now() + session.budget.GapAfter(lasted, cost);
  if (session.budget.Affords(lasted, cost)) GoBackToAll(session);
}

void HeapManager::NoteProblem(Session& session, const Status& status) {
  std::lock_guard lock(session.mutex);
  session.problem = status.ok() ? "" : status.message();
}

void HeapManager::GoBackToAll(Session& session) const {
  Status status = session.target->Attach(session.found.probe_sets(), true);
  if (!status.ok()) return NoteProblem(session, status);
  session.budget.Reset();
  {
    std::lock_guard lock(session.mutex);
    session.is_in_windows = false;
  }
  session.tracking->StartWatchingFrees(parts_.clock.Boot());
  session.target->SetOpen(true);
}

void HeapManager::LimitSamples(Session& session) const {
  std::lock_guard lock(session.mutex);
  uint64_t factor = 1 + session.times_doubled;
  if (session.tracking->live_count() <= options_.max_live_blocks * factor &&
      session.tracking->record_count() <= kManyRecords * factor) {
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
  session.target->ForgetBlocks();
  std::lock_guard lock(session.mutex);
  session.last_counts = session.target->ReadCounts();
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
  pprofd_heap_counts counts =
      session.target ? session.target->ReadCounts() : session.last_counts;
  snapshot->totals = {.allocs = counts.allocs,
                      .alloc_bytes = counts.alloc_bytes,
                      .frees = counts.frees};
  snapshot->notes.push_back(
      fmt::format("calls of the allocator watched: {}, at about {} ns each",
                  counts.hits, session.NsPerHit(parts_.probes.attached() - 1)));
  if (uint64_t lost = parts_.count_losses() - session.losses_before; lost > 0) {
    snapshot->notes.push_back(fmt::format(
        "events lost, of any process: {}; blocks whose free was lost stay in "
        "inuse_*",
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
  } else if (session.in_windows > Nanoseconds(0)) {
    snapshot->notes.push_back(fmt::format(
        "for {:.1f} s it allocated too often to watch every call for {:.3g} % "
        "of a CPU: alloc_* of that time are of windows, scaled",
        std::chrono::duration<double>(session.in_windows).count(),
        options_.budget_cpus * 100));
  }
  if (session.times_doubled > 0) {
    snapshot->notes.push_back(
        fmt::format("too many sampled blocks: period doubled {} times, "
                    "now {} bytes",
                    session.times_doubled, session.period_bytes));
  }
  if (session.found.has_throwing_new()) {
    snapshot->notes.push_back(
        "blocks of operator new are not in inuse_*: exceptions do not pass a "
        "return probe on this allocator's");
  }
  if (!session.problem.empty()) {
    snapshot->notes.push_back("probes are not attached: " + session.problem);
  }
  if (session.is_over && !snapshot->process_exited) {
    snapshot->notes.push_back("it runs another program since: ask again");
  }
}

}  // namespace pprofd
