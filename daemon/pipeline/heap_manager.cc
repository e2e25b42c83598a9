#include "daemon/pipeline/heap_manager.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include "daemon/base/telemetry.h"
#include "daemon/model/reason_counts.h"
#include "daemon/pipeline/preloaded_heap.h"
#include "daemon/pipeline/probed_heap.h"

namespace pprofd {
namespace {

using Nanoseconds = std::chrono::nanoseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::chrono::milliseconds kTick{100};
constexpr std::chrono::seconds kFindTime{10};
constexpr int kBeginTries = 3;
constexpr int kTicksPerLook = 20;  // at the library's paths

SteadyTime Now() { return std::chrono::steady_clock::now(); }

bool IsPreloaded(uint32_t number) {
  return (number & PPROFD_PRELOAD_TRACKING) != 0;
}

BootTime StartOf(const ProcessKey& process) {
  return {static_cast<int64_t>(process.start_ticks) * 10'000'000};
}

Status CheckUnconfined(const ProcessDir& process) {
  ASSIGN_OR_RETURN(ProcessStatus status, process.ReadStatus());
  if (!status.is_confined) return Status::Ok();
  return Status(StatusCode::kUnsupported,
                "seccomp confines it, and this kernel lets seccomp kill what "
                "has return probes");
}

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
  // Nothing more is to be had: it exited, or runs another program.
  std::atomic<bool> is_over = false;

  bool is_preloaded() const { return IsPreloaded(tracking->number()); }
  void Use() const { last_use.store(Now().time_since_epoch().count()); }
  bool HasExited() const {
    if (!pidfd) return true;  // before it could be looked at
    pollfd event = {pidfd.get(), POLLIN, 0};
    return poll(&event, 1, 0) > 0;
  }
};

HeapManager::HeapManager(Parts parts, const Options& options)
    : parts_(std::move(parts)), finder_(parts_.symbolizer), options_(options) {}

void HeapManager::Start() {
  FollowLibraries();
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
  SessionRef session;
  {
    std::lock_guard lock(mutex_);
    auto found = sessions_.find(pid);
    if (found == sessions_.end() || found->second->is_over) return nullptr;
    session = found->second;
    session->Use();  // with the lock, or it may be ended as idle now
  }
  if (session->HasExited()) {
    // Another process may have its number by now.
    Result<ProcessDir> process = ProcessDir::Open(kProcRoot, pid);
    if (process.ok() && process->key() != session->tracking->process()) {
      return nullptr;
    }
  }
  return session;
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

// What has exited may still be asked for: the longest ago goes first.
bool HeapManager::MakeRoom(int32_t pid, bool is_preloaded) {
  auto is_alike = [&](const auto& entry) {
    return entry.second->is_preloaded() == is_preloaded;
  };
  auto has_room = [&] {
    return static_cast<size_t>(std::ranges::count_if(sessions_, is_alike)) <
           options_.max_processes;
  };
  if (auto known = sessions_.find(pid);
      has_room() || (known != sessions_.end() && is_alike(*known))) {
    return true;
  }
  ForgetEnded();
  if (has_room()) return true;
  auto oldest = sessions_.end();
  for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
    if (!is_alike(*it) || !it->second->HasExited()) continue;
    if (oldest == sessions_.end() ||
        it->second->last_use < oldest->second->last_use) {
      oldest = it;
    }
  }
  if (oldest == sessions_.end()) return false;
  Retire(oldest->second);
  sessions_.erase(oldest);
  return true;
}

void HeapManager::Enlist(const SessionRef& session) {
  SessionRef& place = sessions_[session->pid];
  if (place) Retire(place);
  place = session;
  trackings_[session->tracking->number()] = session->tracking;
  session->Use();
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
  VirtualAddr first_mapping = found.first_mapping;
  auto session = std::make_shared<Session>();
  session->pid = pid;
  session->pidfd.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!session->pidfd) return Status::FromErrno(errno, "pidfd_open");
  session->losses_before = parts_.count_losses();
  const FoundAllocators::Allocator* preload = found.preload();
  uint32_t number;
  if (preload == nullptr) {
    ASSIGN_OR_RETURN(ProbeCost cost, parts_.probes.Calibrate());
    if (cost.kills_confined) RETURN_IF_ERROR(CheckUnconfined(*process));
  } else {
    RETURN_IF_ERROR(
        parts_.preload.Attach({preload->file.get(), preload->functions}));
    ASSIGN_OR_RETURN(number, parts_.preload.NumberOf(process->key()));
  }
  {
    std::lock_guard lock(mutex_);
    if (!MakeRoom(pid, preload != nullptr)) {
      return Status(StatusCode::kExhausted, "too many processes are tracked");
    }
    if (preload == nullptr) number = ++last_number_;
    // Its first sample may have come just now.
    if (auto it = sessions_.find(pid);
        it != sessions_.end() && it->second->tracking->number() == number) {
      return it->second;
    }
    session->tracking = std::make_shared<HeapTracking>(
        number, process->key(), since,
        HeapTracking::Options{.max_age_ns = options_.history_ns});
    // Known from now on, as samples come while the source begins.
    trackings_[number] = session->tracking;
  }
  Status status;
  if (preload != nullptr) {
    session->source =
        std::make_unique<PreloadedHeap>(parts_.preload, pid, session->tracking);
  } else {
    status = FeedByProbes(*session, std::move(found), period_bytes);
  }
  {
    std::lock_guard lock(mutex_);
    if (!status.ok()) {
      trackings_.erase(number);
      return status;
    }
    Enlist(session);
  }
  // From here on OnExec would tell.
  if (!finder_.IsStill(*process, first_mapping)) session->is_over = true;
  return session;
}

Status HeapManager::FeedByProbes(Session& session, FoundAllocators found,
                                 uint64_t period_bytes) {
  ProbedHeap::Options options = {
      .budget_cpus = options_.budget_cpus,
      .period_bytes = period_bytes != 0 ? period_bytes : options_.period_bytes,
      .max_live_blocks = options_.max_live_blocks};
  ASSIGN_OR_RETURN(
      session.source,
      ProbedHeap::Begin({parts_.probes, parts_.clock, parts_.drain,
                         [this](Nanoseconds time) { return WaitFor(time); }},
                        options, session.pid, std::move(found),
                        session.tracking));
  return Status::Ok();
}

void HeapManager::AdmitPreloaded(const Sample& sample) {
  int32_t pid = sample.process.pid;
  std::lock_guard lock(mutex_);
  auto known = sessions_.find(pid);
  // Numbers ascend: one of a program that it ran before is late.
  if (known != sessions_.end() &&
      known->second->tracking->number() >= sample.tracking) {
    return;
  }
  if (!MakeRoom(pid, true)) {
    GlobalReasonCounts().Add(PPROFD_REASON_HEAP_FULL);
    return;
  }
  auto session = std::make_shared<Session>();
  session->pid = pid;
  session->pidfd.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  // Another may have its number by now.
  if (!ProcessDir::Open(kProcRoot, sample.process).ok()) {
    session->pidfd.Reset();
  }
  session->losses_before = parts_.count_losses();
  BootTime since = StartOf(sample.process);
  if (preload_since_ && *preload_since_ > since) since = *preload_since_;
  session->tracking = std::make_shared<HeapTracking>(
      sample.tracking, sample.process, since,
      HeapTracking::Options{.max_age_ns = options_.history_ns});
  session->source =
      std::make_unique<PreloadedHeap>(parts_.preload, pid, session->tracking);
  Enlist(session);
}

// What the kernel half has numbered and nobody was told of, too.
void HeapManager::SweepPreloaded() {
  parts_.preload.Sweep(
      [this](uint32_t number) { return FindTracking(number) != nullptr; });
}

// At its start and every few seconds: a package may bring another file.
void HeapManager::FollowLibraries() {
  std::string problem;
  for (const std::string& path : options_.preload_paths) {
    UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file || parts_.preload.Has(file.get())) continue;
    Result<AllocatorReport> report =
        parts_.symbolizer.FindAllocator(file.get());
    Status status = report.status();
    if (status.ok() && report->family != kPreloadFamily) {
      status = Status(StatusCode::kUnsupported,
                      fmt::format("it is not {}", kPreloadFamily));
    }
    if (status.ok()) {
      status = parts_.preload.Attach({file.get(), report->functions});
    }
    if (!status.ok()) {
      problem += fmt::format("{}: {}; ", path, status.message());
      continue;
    }
    std::lock_guard lock(mutex_);
    if (!preload_since_) preload_since_ = parts_.clock.Boot();
  }
  if (problem != library_problem_ && !problem.empty()) {
    spdlog::warn("processes with {} are not heard: {}", kPreloadFamily,
                 problem);
  }
  library_problem_ = std::move(problem);
}

bool HeapManager::HasExited(const Session& session) const {
  session.Use();  // who asks is waiting for it
  return session.HasExited();
}

bool HeapManager::KeepTracking(int32_t pid) const {
  SessionRef session = FindSession(pid);
  return session && !session->HasExited();
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

// Before the stack is final, as frees do not wait for that.
void HeapManager::OnAllocSeen(const Sample& sample) {
  if (IsPreloaded(sample.tracking) && !FindTracking(sample.tracking)) {
    AdmitPreloaded(sample);
  }
}

void HeapManager::OnAlloc(const Sample& sample) {
  if (auto tracking = FindTracking(sample.tracking)) tracking->OnAlloc(sample);
}

void HeapManager::OnFree(const FreeEvent& event) {
  if (auto tracking = FindTracking(event.tracking)) tracking->OnFree(event);
}

void HeapManager::OnExec(const ExecEvent& event) {
  parts_.on_exec(event.process.pid);
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
  for (int tick = 1; WaitFor(kTick); ++tick) {
    SteadyTime now = Now();
    if (tick % kTicksPerLook == 0) {
      FollowLibraries();
      SweepPreloaded();
    }
    Nanoseconds elapsed = now - std::exchange(last, now);
    RetireIdle(now);
    for (const SessionRef& session : TakeRetired()) session->source->End();
    for (const SessionRef& session : Sessions()) {
      bool has_exited = session->HasExited();
      if (has_exited && !session->is_preloaded()) session->is_over = true;
      if (session->is_over || has_exited) {
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
    // Whoever waits for an answer holds it.
    if (entry.second.use_count() > 1 || now - used <= options_.idle_time) {
      return false;
    }
    bool goes_on = entry.second->is_preloaded() && !entry.second->is_over &&
                   !entry.second->HasExited();
    if (goes_on) {
      entry.second->Use();  // what is left of it is known for that time, too
      return false;
    }
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
