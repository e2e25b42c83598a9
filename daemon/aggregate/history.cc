#include "daemon/aggregate/history.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <algorithm>

#include "bpf/abi.h"
#include "daemon/base/telemetry.h"
#include "daemon/model/reason_counts.h"

namespace pprofd {
namespace {

BootTime WindowStart(BootTime time, int64_t window_ns) {
  return {time.ns - time.ns % window_ns};
}

template <typename T>
std::vector<T> Sorted(const absl::flat_hash_set<T>& set) {
  std::vector<T> sorted(set.begin(), set.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

}  // namespace

History::~History() { Count(Counter::history_bytes, -published_bytes_); }

void History::Append(const Sample& sample) {
  std::lock_guard lock(mutex_);
  Observe(sample.time);
  Window* window = OpenWindow(sample.time);
  if (window == nullptr) {
    Count(Counter::history_samples_late, static_cast<uint64_t>(sample.count));
    return;
  }
  if (!window->Append(sample)) {
    samples_refused_ += sample.count;
    GlobalReasonCounts().Add(PPROFD_REASON_HISTORY_FULL,
                             static_cast<uint64_t>(sample.count));
    window->NoteLost(PPROFD_REASON_HISTORY_FULL, sample.count, sample.time);
  }
  EvictForSpace();
}

void History::NoteLost(uint32_t reason, int64_t count, BootTime time) {
  std::lock_guard lock(mutex_);
  Observe(time);
  if (Window* window = OpenWindow(time)) window->NoteLost(reason, count, time);
}

void History::Advance(BootTime now) {
  std::lock_guard lock(mutex_);
  Observe(now);
  PublishBytes();
}

Aggregate History::Query(BootTime from, BootTime to, const SampleFilter& filter,
                         const AggregateFields& fields) const {
  std::vector<std::shared_ptr<const Window>> sealed;
  std::unique_lock lock(mutex_);
  TimeRange range{std::max(from, covered_from_), std::min(to, covered_to_)};
  if (range.end < range.start) range.end = range.start;
  AggregateFold fold(range, filter, fields);
  auto overlaps = [&range](const Window& window) {
    return window.range().start < range.end && range.start < window.range().end;
  };
  for (const auto& window : open_) {
    if (overlaps(*window)) fold.Add(*window);
  }
  for (const auto& window : sealed_) {
    if (overlaps(*window)) sealed.push_back(window);
  }
  lock.unlock();
  for (const auto& window : sealed) fold.Add(*window);
  return std::move(fold).Finish();
}

TimeRange History::Covered() const {
  std::lock_guard lock(mutex_);
  return {covered_from_, covered_to_};
}

History::CpuUsage History::RecentCpu(int64_t span_ns) const {
  std::lock_guard lock(mutex_);
  CpuUsage usage{
      .range = {std::max<BootTime>({covered_to_.ns - span_ns}, covered_from_),
                covered_to_},
      .processes = {}};
  absl::flat_hash_map<ProcessKey, ProcessCpu> totals;
  ForEachWindow([&](const Window& window) {
    if (window.range().end <= usage.range.start) return;
    for (const Window::Row& row : window.rows()) {
      if (row.time < usage.range.start) continue;
      const Window::Thread& thread = window.threads()[row.thread];
      const Window::Cost& cost = window.costs()[row.cost];
      ProcessCpu& total = totals[window.processes()[thread.process].key];
      total.samples += cost.count;
      total.value += cost.value;
    }
  });
  for (auto& [key, total] : totals) {
    total.process = key;
    usage.processes.push_back(total);
  }
  std::sort(usage.processes.begin(), usage.processes.end(),
            [](const ProcessCpu& a, const ProcessCpu& b) {
              return a.process < b.process;
            });
  return usage;
}

std::vector<ProcessKey> History::Processes() const {
  std::lock_guard lock(mutex_);
  absl::flat_hash_set<ProcessKey> keys;
  ForEachWindow([&keys](const Window& window) {
    for (const Window::Process& process : window.processes()) {
      keys.insert(process.key);
    }
  });
  return Sorted(keys);
}

std::vector<ModuleId> History::ModulesInUse() const {
  std::lock_guard lock(mutex_);
  absl::flat_hash_set<ModuleId> modules;
  ForEachWindow([&modules](const Window& window) {
    for (ModuleId module : window.Modules()) modules.insert(module);
  });
  return Sorted(modules);
}

int64_t History::samples_refused() const {
  std::lock_guard lock(mutex_);
  return samples_refused_;
}

size_t History::bytes() const {
  std::lock_guard lock(mutex_);
  return TotalBytes();
}

template <typename Visitor>
void History::ForEachWindow(Visitor visit) const {
  for (const auto& window : sealed_) visit(*window);
  for (const auto& window : open_) visit(*window);
}

void History::Observe(BootTime time) {
  if (!observed_) {
    observed_ = true;
    covered_from_ = covered_to_ = time;
    sealed_until_ = WindowStart(time, options_.window_ns);
    // Others of this moment may come a little later.
    sealed_until_.ns -= options_.window_ns;
  }
  covered_from_ = std::min(covered_from_, std::max(time, sealed_until_));
  if (time < covered_to_) return;
  covered_to_ = {time.ns + 1};
  SealBefore({WindowStart(time, options_.window_ns).ns - options_.window_ns});
  ExpireBefore({time.ns - options_.max_age_ns});
}

// The open window of `time`, made when it is the first of its kind; null when
// that window is sealed or gone.
Window* History::OpenWindow(BootTime time) {
  if (time < sealed_until_) return nullptr;
  BootTime start = WindowStart(time, options_.window_ns);
  auto it = open_.begin();
  while (it != open_.end() && (*it)->range().start < start) ++it;
  if (it == open_.end() || (*it)->range().start != start) {
    TimeRange range{start, {start.ns + options_.window_ns}};
    it = open_.insert(it,
                      std::make_unique<Window>(range, options_.max_bytes / 2));
  }
  return it->get();
}

void History::SealBefore(BootTime limit) {
  if (limit <= sealed_until_) return;
  sealed_until_ = limit;
  while (!open_.empty() && open_.front()->range().start < limit) {
    open_.front()->Seal();
    sealed_.push_back(std::move(open_.front()));
    open_.pop_front();
    sealed_bytes_ += sealed_.back()->bytes();
  }
  PublishBytes();
}

void History::ExpireBefore(BootTime limit) {
  while (!sealed_.empty() && sealed_.front()->range().end <= limit) {
    DropOldest();
  }
}

void History::EvictForSpace() {
  while (TotalBytes() > options_.max_bytes &&
         sealed_.size() + open_.size() > 1) {
    DropOldest();
    Count(Counter::windows_evicted);
  }
}

void History::DropOldest() {
  BootTime end;
  if (!sealed_.empty()) {
    end = sealed_.front()->range().end;
    sealed_bytes_ -= sealed_.front()->bytes();
    sealed_.pop_front();
  } else {
    end = open_.front()->range().end;
    open_.pop_front();
  }
  covered_from_ = std::max(covered_from_, end);
  sealed_until_ = std::max(sealed_until_, end);
}

size_t History::TotalBytes() const {
  size_t total = sealed_bytes_;
  for (const auto& window : open_) total += window->bytes();
  return total;
}

// There are several histories: each adds what it grew by, also when that is
// less than nothing.
void History::PublishBytes() {
  size_t bytes = TotalBytes();
  Count(Counter::history_bytes, bytes - published_bytes_);
  published_bytes_ = bytes;
}

}  // namespace pprofd
