#include "daemon/aggregate/window.h"

#include <algorithm>

namespace pprofd {
namespace {

constexpr int64_t kLossGrainNs = 1'000'000'000;
// One second of each reason in a window of ten seconds, with room to spare;
// a capture may last longer and then books into its last entries.
constexpr size_t kMaxLosses = 1024;
constexpr size_t kMaxCosts = 1024;

template <typename Map>
size_t MapBytes(const Map& map) {
  return map.capacity() * (sizeof(typename Map::value_type) + 1);
}

template <typename T>
size_t VectorBytes(const std::vector<T>& vector) {
  return vector.capacity() * sizeof(T);
}

}  // namespace

Window::Window(TimeRange range, size_t max_bytes)
    : range_(range), max_bytes_(max_bytes), stacks_(max_bytes / 2) {}

bool Window::Append(const Sample& sample) {
  if (!HasRoomForRow()) return false;
  std::optional<uint32_t> stack = stacks_.Intern(sample.stack);
  if (!stack) return false;
  size_t cost = CostIndex({sample.count, sample.value});
  if (cost == SIZE_MAX) return false;
  uint32_t thread = ThreadIndex(sample);
  Process& process = processes_[threads_[thread].process];
  process.samples += sample.count;
  process.value += sample.value;
  rows_.push_back(
      {.time = sample.time,
       .thread = thread,
       .stack = *stack,
       .cpu = static_cast<uint16_t>(std::min<uint32_t>(sample.cpu, UINT16_MAX)),
       .cost = static_cast<uint16_t>(cost),
       .result = sample.result,
       .reason =
           static_cast<uint8_t>(std::min<uint32_t>(sample.reason, UINT8_MAX))});
  return true;
}

void Window::NoteLost(uint32_t reason, int64_t count, BootTime time) {
  Loss* same_reason = nullptr;
  for (auto loss = losses_.rbegin(); loss != losses_.rend(); ++loss) {
    if (loss->reason != reason) continue;
    if (same_reason == nullptr) same_reason = &*loss;
    if (loss->time.ns / kLossGrainNs == time.ns / kLossGrainNs) {
      loss->count += count;
      return;
    }
  }
  if (losses_.size() >= kMaxLosses && same_reason != nullptr) {
    same_reason->count += count;
  } else {
    losses_.push_back({time, reason, count});
  }
}

void Window::Seal() {
  if (sealed_) return;
  sealed_modules_ = Modules();
  rows_.shrink_to_fit();
  threads_.shrink_to_fit();
  processes_.shrink_to_fit();
  stacks_.Seal();
  thread_index_ = absl::flat_hash_map<Thread, uint32_t>();
  process_index_ = absl::flat_hash_map<ProcessKey, uint32_t>();
  sealed_ = true;
}

size_t Window::bytes() const {
  return sizeof(*this) + stacks_.bytes() + VectorBytes(rows_) +
         VectorBytes(threads_) + VectorBytes(processes_) + VectorBytes(costs_) +
         VectorBytes(losses_) + VectorBytes(sealed_modules_) +
         MapBytes(thread_index_) + MapBytes(process_index_);
}

std::vector<ModuleId> Window::Modules() const {
  if (sealed_) return sealed_modules_;
  std::vector<ModuleId> modules;
  ModuleId last = ModuleId::kNone;
  for (size_t node = 0; node < stacks_.size(); ++node) {
    Frame frame = stacks_.frame(static_cast<uint32_t>(node));
    if (frame.kind() != FrameKind::kFile &&
        frame.kind() != FrameKind::kReason) {
      continue;
    }
    if (frame.module() == last || frame.module() == ModuleId::kNone) continue;
    last = frame.module();
    modules.push_back(last);
  }
  std::sort(modules.begin(), modules.end());
  modules.erase(std::unique(modules.begin(), modules.end()), modules.end());
  modules.shrink_to_fit();
  return modules;
}

// A vector doubles when full; old and new halves count while it does.
bool Window::HasRoomForRow() const {
  size_t growth =
      rows_.size() == rows_.capacity() ? VectorBytes(rows_) : size_t{0};
  return bytes() + growth < max_bytes_;
}

uint32_t Window::ThreadIndex(const Sample& sample) {
  Thread thread{.process = ProcessIndex(sample.process),
                .tid = sample.tid,
                .comm = sample.comm,
                .cgroup_id = sample.cgroup_id};
  auto [it, inserted] =
      thread_index_.try_emplace(thread, static_cast<uint32_t>(threads_.size()));
  if (inserted) threads_.push_back(thread);
  return it->second;
}

uint32_t Window::ProcessIndex(const ProcessKey& key) {
  auto [it, inserted] =
      process_index_.try_emplace(key, static_cast<uint32_t>(processes_.size()));
  if (inserted) processes_.push_back({.key = key});
  return it->second;
}

size_t Window::CostIndex(const Cost& cost) {
  for (size_t i = 0; i < costs_.size(); ++i) {
    if (costs_[i].count == cost.count && costs_[i].value == cost.value) {
      return i;
    }
  }
  if (costs_.size() >= kMaxCosts) return SIZE_MAX;
  costs_.push_back(cost);
  return costs_.size() - 1;
}

}  // namespace pprofd
