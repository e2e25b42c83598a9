#include "daemon/aggregate/heap_tracking.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "bpf/abi.h"
#include "daemon/model/reason_counts.h"

namespace pprofd {
namespace {

// A sample is late by seconds at most.
constexpr size_t kMaxEarlyFrees = 65'536;

}  // namespace

HeapTracking::HeapTracking(uint32_t number, const ProcessKey& process,
                           BootTime since, const Options& options)
    : number_(number),
      process_(process),
      since_(since),
      options_(options),
      stacks_(options.max_stack_bytes),
      changes_since_(since),
      inuse_since_(since) {}

void HeapTracking::OnAlloc(const Sample& sample) {
  std::lock_guard lock(mutex_);
  uint32_t record = 0;
  if (!FindRecord(sample, &record)) {
    ++lost_;
    GlobalReasonCounts().Add(PPROFD_REASON_HEAP_FULL);
    return;
  }
  if (!watches_frees_) {
    Log(sample.time, record, -1);
    ++window_changes_;
    return;
  }
  records_[record].allocs += 1;
  records_[record].weighted_allocs += 1;
  bool is_untracked = (sample.flags & PPROFD_SAMPLE_UNTRACKED) != 0;
  if (is_untracked) ++untracked_;
  // What was allocated while frees were not watched may have been freed.
  bool is_followed =
      !is_untracked && sample.address.value != 0 && sample.time >= inuse_since_;
  Log(sample.time, record, is_followed ? 1 : -1);
  if (is_followed) KeepAlive(sample, record);
}

void HeapTracking::KeepAlive(const Sample& sample, uint32_t record) {
  records_[record].inuse += 1;
  std::pair key(sample.address.value, sample.time.ns);
  if (early_frees_.erase(key) > 0) {
    Release(record, sample.time);
    return;
  }
  auto [it, is_new] =
      live_.try_emplace(sample.address.value, Live{record, sample.time});
  if (is_new) return;
  ++reused_;
  if (it->second.time < sample.time) {
    Release(it->second.record, sample.time);
    it->second = {record, sample.time};
  } else {
    Release(record, sample.time);
  }
}

void HeapTracking::OnFree(const FreeEvent& event) {
  std::lock_guard lock(mutex_);
  if (!watches_frees_) return;
  auto found = live_.find(event.address.value);
  if (found != live_.end() && found->second.time == event.alloc_time) {
    Release(found->second.record, event.time);
    live_.erase(found);
    return;
  }
  if (event.alloc_time < inuse_since_) return;
  if (early_frees_.size() >= kMaxEarlyFrees) {
    frees_forgotten_ += early_frees_.size();
    early_frees_.clear();
  }
  early_frees_.emplace(event.address.value, event.alloc_time.ns);
}

void HeapTracking::Release(uint32_t record, BootTime time) {
  records_[record].inuse -= 1;
  records_[record].frees += 1;
  Log(time, record, 0);
}

void HeapTracking::StopWatchingFrees() {
  std::lock_guard lock(mutex_);
  watches_frees_ = false;
  window_changes_ = 0;
  live_.clear();
  early_frees_.clear();
  for (HeapRecord& record : records_) record.inuse = 0;
}

void HeapTracking::EndWindow(double factor) {
  std::lock_guard lock(mutex_);
  size_t count = std::min(window_changes_, changes_.size());
  for (size_t i = changes_.size() - count; i < changes_.size(); ++i) {
    Change& change = changes_[i];
    change.weight = -static_cast<float>(factor);
    records_[change.record].allocs += 1;
    records_[change.record].weighted_allocs += factor;
  }
  window_changes_ = 0;
}

void HeapTracking::StartWatchingFrees(BootTime now) {
  std::lock_guard lock(mutex_);
  watches_frees_ = true;
  inuse_since_ = now;
}

bool HeapTracking::FindRecord(const Sample& sample, uint32_t* record) {
  std::optional<uint32_t> stack = stacks_.Intern(sample.stack);
  if (!stack) return false;
  HeapRecord fresh{.stack = *stack,
                   .block_bytes = static_cast<uint64_t>(sample.value),
                   .period_bytes = static_cast<uint64_t>(sample.period)};
  std::tuple key(fresh.stack, fresh.block_bytes, fresh.period_bytes);
  auto found = record_index_.find(key);
  if (found != record_index_.end()) {
    *record = found->second;
    return true;
  }
  if (records_.size() >= options_.max_records) return false;
  *record = static_cast<uint32_t>(records_.size());
  record_index_.emplace(key, *record);
  records_.push_back(fresh);
  return true;
}

void HeapTracking::Log(BootTime time, uint32_t record, float weight) {
  changes_.push_back({time, record, weight});
  while (changes_.size() > options_.max_changes ||
         changes_.front().time.ns < time.ns - options_.max_age_ns) {
    changes_since_ = std::max(changes_since_, changes_.front().time);
    changes_.pop_front();
  }
}

HeapSnapshot HeapTracking::Describe(BootTime now) const {
  HeapSnapshot snapshot;
  snapshot.process = process_;
  snapshot.tracking = number_;
  snapshot.since = since_;
  snapshot.time = now;
  snapshot.has_inuse = watches_frees_;
  snapshot.inuse_since = inuse_since_;
  snapshot.records = records_;
  absl::flat_hash_map<uint32_t, uint32_t> numbers;
  for (HeapRecord& record : snapshot.records) {
    auto [it, is_new] = numbers.try_emplace(
        record.stack, static_cast<uint32_t>(snapshot.stacks.size()));
    if (is_new) snapshot.stacks.push_back(stacks_.Frames(record.stack));
    record.stack = it->second;
  }
  if (lost_ > 0) {
    snapshot.notes.push_back(
        fmt::format("heap samples lost, no room for records: {}", lost_));
  }
  if (untracked_ > 0) {
    snapshot.notes.push_back(
        fmt::format("blocks missing in inuse_*, table of live blocks full: {}",
                    untracked_));
  }
  if (frees_forgotten_ > 0) {
    snapshot.notes.push_back(
        fmt::format("frees whose block's sample has not come, forgotten: {}",
                    frees_forgotten_));
  }
  if (reused_ > 0) {
    snapshot.notes.push_back(fmt::format(
        "blocks freed where no probe saw it, address handed out again: {}",
        reused_));
  }
  return snapshot;
}

HeapSnapshot HeapTracking::Snapshot(BootTime now) const {
  std::lock_guard lock(mutex_);
  return Describe(now);
}

HeapSnapshot HeapTracking::Between(BootTime from, BootTime to) const {
  std::lock_guard lock(mutex_);
  HeapSnapshot snapshot = Describe(to);
  snapshot.since = std::min(std::max(from, changes_since_), to);
  for (HeapRecord& record : snapshot.records) {
    record.allocs = record.inuse = record.frees = 0;
    record.weighted_allocs = 0;
  }
  for (const Change& change : changes_) {
    if (change.time < from || change.time >= to) continue;
    HeapRecord& record = snapshot.records[change.record];
    if (change.weight == 0) {
      record.inuse -= 1;
      record.frees += 1;
      continue;
    }
    record.allocs += 1;
    if (change.weight > 0) record.inuse += 1;
    record.weighted_allocs += std::abs(static_cast<double>(change.weight));
  }
  if (!snapshot.has_inuse || snapshot.inuse_since > snapshot.since) {
    snapshot.has_inuse = false;
    for (HeapRecord& record : snapshot.records) record.inuse = 0;
  }
  return snapshot;
}

size_t HeapTracking::live_count() const {
  std::lock_guard lock(mutex_);
  return live_.size();
}

size_t HeapTracking::record_count() const {
  std::lock_guard lock(mutex_);
  return records_.size();
}

std::vector<ModuleId> HeapTracking::ModulesInUse() const {
  std::lock_guard lock(mutex_);
  std::set<ModuleId> modules;
  for (uint32_t node = 0; node < stacks_.size(); ++node) {
    Frame frame = stacks_.frame(node);
    if (frame.kind() == FrameKind::kFile) modules.insert(frame.module());
  }
  return {modules.begin(), modules.end()};
}

HeapSnapshot Difference(const HeapSnapshot& before, HeapSnapshot after) {
  size_t common = std::min(before.records.size(), after.records.size());
  for (size_t i = 0; i < common; ++i) {
    after.records[i].allocs -= before.records[i].allocs;
    after.records[i].inuse -= before.records[i].inuse;
    after.records[i].frees -= before.records[i].frees;
    after.records[i].weighted_allocs -= before.records[i].weighted_allocs;
  }
  after.has_inuse &=
      before.has_inuse && before.inuse_since == after.inuse_since;
  if (!after.has_inuse) {
    for (HeapRecord& record : after.records) record.inuse = 0;
  }
  after.totals.allocs -= before.totals.allocs;
  after.totals.alloc_bytes -= before.totals.alloc_bytes;
  after.totals.frees -= before.totals.frees;
  for (size_t i = 0; i < after.totals.allocs_by_size.size(); ++i) {
    after.totals.allocs_by_size[i] -= before.totals.allocs_by_size[i];
  }
  after.since = before.time;
  return after;
}

}  // namespace pprofd
