#include "daemon/pipeline/probed_heap.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace pprofd {
namespace {

constexpr std::chrono::seconds kRenewalInterval{1};
constexpr size_t kManyRecords = 32'768;

std::chrono::steady_clock::time_point Now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

ProbedHeap::ProbedHeap(Parts parts, const Options& options,
                       FoundAllocators found,
                       std::shared_ptr<HeapTracking> tracking,
                       const ProbeCost& cost)
    : parts_(std::move(parts)),
      options_(options),
      found_(std::move(found)),
      tracking_(std::move(tracking)),
      cost_(cost),
      budget_(options.budget_cpus),
      period_bytes_(options.period_bytes) {}

Result<std::unique_ptr<ProbedHeap>> ProbedHeap::Begin(
    Parts parts, const Options& options, int32_t pid, FoundAllocators found,
    std::shared_ptr<HeapTracking> tracking) {
  ASSIGN_OR_RETURN(ProbeCost cost, parts.probes.Calibrate());
  std::unique_ptr<ProbedHeap> heap(new ProbedHeap(
      std::move(parts), options, std::move(found), std::move(tracking), cost));
  ASSIGN_OR_RETURN(heap->target_,
                   heap->parts_.probes.Open(pid, heap->tracking_->number(),
                                            options.period_bytes));
  RETURN_IF_ERROR(heap->target_->Attach(heap->found_.probe_sets(), true));
  heap->target_->SetOpen(true);
  return heap;
}

int64_t ProbedHeap::NsPerHit(int others) const {
  return (found_.is_emulated() ? cost_.emulated_ns : cost_.stepped_ns) +
         cost_.per_other_ns * std::max(others, 0);
}

Status ProbedHeap::SetPeriod(uint64_t period_bytes) {
  std::lock_guard lock(mutex_);
  period_bytes_ = period_bytes;
  if (target_) target_->SetPeriod(period_bytes);
  return Status::Ok();
}

void ProbedHeap::Tend(Nanoseconds elapsed) {
  if (!target_) return;
  if (!is_in_windows_) {
    RenewAfterFork();
    BookHits(elapsed);
  } else if (Now() >= next_window_) {
    WatchWindow();
  }
  LimitSamples();
}

// What the hits since the last call have cost.
ProbedHeap::Nanoseconds ProbedHeap::CostSoFar(int others) {
  pprofd_heap_counts counts = target_->ReadCounts();
  uint64_t hits = counts.hits - std::exchange(hits_booked_, counts.hits);
  uint64_t sampling_ns = counts.sampling_ns -
                         std::exchange(sampling_ns_booked_, counts.sampling_ns);
  return Nanoseconds(static_cast<int64_t>(hits) * NsPerHit(others) +
                     static_cast<int64_t>(sampling_ns));
}

void ProbedHeap::BookHits(Nanoseconds elapsed) {
  Nanoseconds cost = CostSoFar(parts_.probes.attached() - 1);
  if (budget_.Book(elapsed, cost)) return;
  GoOverToWindows(budget_.GapAfter(elapsed, cost));
}

// Children have the breakpoints of their parent, until those are taken out.
void ProbedHeap::RenewAfterFork() {
  uint64_t forks = target_->forks();
  if (forks == forks_seen_ || Now() < next_renewal_) return;
  forks_seen_ = forks;
  next_renewal_ = Now() + kRenewalInterval;
  Status status = target_->Attach(found_.probe_sets(), true);
  if (status.ok()) return;
  NoteProblem(status);
  GoOverToWindows(HeapBudget::kMinGap);
}

void ProbedHeap::GoOverToWindows(Nanoseconds gap) {
  target_->SetOpen(false);
  target_->Detach();
  parts_.drain();
  target_->ForgetBlocks();
  tracking_->StopWatchingFrees();
  last_window_end_ = Now();
  {
    std::lock_guard lock(mutex_);
    is_in_windows_ = true;
  }
  next_window_ = last_window_end_ + gap;
}

// The hits are those of the whole time that probes were in place, so what
// attaching and detaching took is paid for, too.
void ProbedHeap::WatchWindow() {
  SteadyTime attached = Now();
  Status status = target_->Attach(found_.probe_sets(), false);
  NoteProblem(status);
  if (!status.ok()) {
    next_window_ = Now() + HeapBudget::kMaxGap;
    return;
  }
  SteadyTime start = Now();
  target_->SetOpen(true);
  bool goes_on = parts_.wait_for(HeapBudget::kWindow);
  target_->SetOpen(false);
  SteadyTime end = Now();
  int others = parts_.probes.attached() - 1;
  target_->Detach();
  if (!goes_on) return;
  parts_.drain();
  tracking_->EndWindow(std::chrono::duration<double>(end - last_window_end_) /
                       std::chrono::duration<double>(end - start));
  {
    std::lock_guard lock(mutex_);
    in_windows_ += end - last_window_end_;
  }
  last_window_end_ = end;
  Nanoseconds cost = CostSoFar(others);
  Nanoseconds lasted = Now() - attached;
  next_window_ = Now() + budget_.GapAfter(lasted, cost);
  if (budget_.Affords(lasted, cost)) GoBackToAll();
}

void ProbedHeap::NoteProblem(const Status& status) {
  std::lock_guard lock(mutex_);
  problem_ = status.ok() ? "" : status.message();
}

void ProbedHeap::GoBackToAll() {
  Status status = target_->Attach(found_.probe_sets(), true);
  if (!status.ok()) return NoteProblem(status);
  budget_.Reset();
  {
    std::lock_guard lock(mutex_);
    is_in_windows_ = false;
  }
  tracking_->StartWatchingFrees(parts_.clock.Boot());
  target_->SetOpen(true);
}

void ProbedHeap::LimitSamples() {
  std::lock_guard lock(mutex_);
  uint64_t factor = 1 + times_doubled_;
  if (tracking_->live_count() <= options_.max_live_blocks * factor &&
      tracking_->record_count() <= kManyRecords * factor) {
    return;
  }
  ++times_doubled_;
  period_bytes_ *= 2;
  target_->SetPeriod(period_bytes_);
}

void ProbedHeap::End() {
  if (!target_) return;
  target_->SetOpen(false);
  target_->Detach();
  parts_.drain();
  target_->ForgetBlocks();
  std::lock_guard lock(mutex_);
  last_counts_ = target_->ReadCounts();
  target_.reset();
}

void ProbedHeap::Describe(HeapSnapshot* snapshot) const {
  std::lock_guard lock(mutex_);
  snapshot->source = fmt::format("uprobes ({}) on {}",
                                 cost_.has_sessions ? "sessions" : "pairs",
                                 found_.description());
  snapshot->period_bytes = period_bytes_;
  pprofd_heap_counts counts = target_ ? target_->ReadCounts() : last_counts_;
  snapshot->totals = {.allocs = counts.allocs,
                      .alloc_bytes = counts.alloc_bytes,
                      .frees = counts.frees,
                      .allocs_by_size = std::to_array(counts.allocs_by_size)};
  auto& notes = snapshot->notes;
  notes.push_back(
      fmt::format("calls of the allocator watched: {}, at about {} ns each",
                  counts.hits, NsPerHit(parts_.probes.attached() - 1)));
  if (!found_.is_emulated()) {
    notes.push_back(
        "some probes are single-stepped by the kernel: they cost more");
  }
  if (is_in_windows_) {
    notes.push_back(fmt::format(
        "it allocates too often to watch every call for {:.3g} % of a CPU: "
        "alloc_* are of windows of time, scaled; inuse_* are not available",
        options_.budget_cpus * 100));
  } else if (in_windows_ > Nanoseconds(0)) {
    notes.push_back(fmt::format(
        "for {:.1f} s it allocated too often to watch every call for {:.3g} % "
        "of a CPU: alloc_* of that time are of windows, scaled",
        std::chrono::duration<double>(in_windows_).count(),
        options_.budget_cpus * 100));
  }
  if (times_doubled_ > 0) {
    notes.push_back(
        fmt::format("too many sampled blocks: period doubled {} times, "
                    "now {} bytes",
                    times_doubled_, period_bytes_));
  }
  if (found_.has_throwing_new()) {
    notes.push_back(
        "blocks of operator new are not in inuse_*: exceptions do not pass a "
        "return probe on this allocator's");
  }
  if (!problem_.empty()) {
    notes.push_back("probes are not attached: " + problem_);
  }
}

}  // namespace pprofd
