#include "daemon/collector/cpu_sampler.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "daemon/base/telemetry.h"
#include "daemon/collector/perf_event.h"

namespace pprofd {
namespace {

// Reading a count interrupts its CPU: not every second.
constexpr int kCallsPerCheck = 10;

}  // namespace

Status CpuSampler::Start(uint64_t period_ns) {
  std::lock_guard lock(mutex_);
  always_on_.program_fd = program_.cpu_program_fd();
  always_on_.period_ns = period_ns;
  return OpenMissing(always_on_);
}

void CpuSampler::Stop() {
  std::lock_guard lock(mutex_);
  always_on_.by_cpu.clear();
  capture_sets_.clear();
}

// An event on a CPU that went offline is dead for good, also when the CPU
// comes back, so it must be closed while the CPU is away.
Status CpuSampler::OpenMissing(EventSet& set) {
  ASSIGN_OR_RETURN(std::vector<int> cpus, OnlineCpus());
  std::erase_if(set.by_cpu, [&](const auto& entry) {
    return !std::binary_search(cpus.begin(), cpus.end(), entry.first);
  });
  for (int cpu : cpus) {
    if (set.by_cpu.contains(cpu)) continue;
    Result<UniqueFd> event = OpenCpuClock(cpu, set.period_ns, set.program_fd);
    if (!event.ok()) {
      // Offline again since we looked.
      if (event.status().code() == StatusCode::kNotFound) continue;
      return event.status();
    }
    set.by_cpu.emplace(cpu, Event{.fd = std::move(*event)});
  }
  return Status::Ok();
}

// A running CPU clock always moves.
void CpuSampler::DropDead(EventSet& set) {
  for (auto it = set.by_cpu.begin(); it != set.by_cpu.end();) {
    Event& event = it->second;
    uint64_t count = ReadCount(event.fd);
    bool is_dead = count == event.last_count;
    event.last_count = count;
    it = is_dead ? set.by_cpu.erase(it) : std::next(it);
  }
}

void CpuSampler::FollowCpus() {
  std::lock_guard lock(mutex_);
  bool is_check_due = ++follow_calls_ % kCallsPerCheck == 0;
  auto follow = [this, is_check_due](EventSet& set) {
    if (is_check_due) DropDead(set);
    Status status = OpenMissing(set);
    if (!status.ok()) {
      LOG_EVERY(std::chrono::minutes(1),
                spdlog::warn("CPUs are not all sampled: {}", status.message()));
    }
  };
  if (always_on_.period_ns != 0) follow(always_on_);
  for (auto& [period, set] : capture_sets_) follow(set);
}

Status CpuSampler::BeginCapture(int32_t pid, uint64_t period_ns) {
  std::lock_guard lock(mutex_);
  int& references = capture_counts_[{pid, period_ns}];
  if (references == 0) {
    Status status = capture_slots_.Add(pid, period_ns);
    if (!status.ok()) {
      capture_counts_.erase({pid, period_ns});
      return status;
    }
  }
  EventSet& set = capture_sets_[period_ns];
  set.program_fd = program_.cpu_capture_program_fd();
  set.period_ns = period_ns;
  Status status = OpenMissing(set);
  ++references;
  ++set.captures;
  return status;
}

void CpuSampler::EndCapture(int32_t pid, uint64_t period_ns) {
  std::lock_guard lock(mutex_);
  auto count = capture_counts_.find({pid, period_ns});
  if (count == capture_counts_.end()) return;
  if (--count->second == 0) {
    capture_slots_.Remove(pid, period_ns);
    capture_counts_.erase(count);
  }
  auto set = capture_sets_.find(period_ns);
  if (set != capture_sets_.end() && --set->second.captures == 0) {
    capture_sets_.erase(set);
  }
}

}  // namespace pprofd
