#include "daemon/pipeline/coverage_table.h"

namespace pprofd {

void CoverageTable::SetBaseline(const ProcessKey& process,
                                int64_t cpu_time_ns) {
  std::lock_guard lock(mutex_);
  if (processes_.size() >= max_processes_) return;
  processes_[process].baseline_ns = cpu_time_ns;
}

void CoverageTable::OnSample(const Sample& sample) {
  std::lock_guard lock(mutex_);
  auto found = processes_.find(sample.process);
  if (found == processes_.end()) {
    if (processes_.size() >= max_processes_) return;
    found = processes_.emplace(sample.process, Coverage{}).first;
  }
  Coverage& coverage = found->second;
  coverage.sampled_ns += sample.count * sample.value;
  coverage.samples += static_cast<uint64_t>(sample.count);
  switch (sample.result) {
    case UnwindResult::kNone:
      break;
    case UnwindResult::kComplete:
      ++coverage.complete;
      break;
    case UnwindResult::kMixed:
      ++coverage.mixed;
      break;
    case UnwindResult::kTruncated:
      ++coverage.truncated;
      ++coverage.reasons[sample.reason];
      break;
  }
}

std::optional<Coverage> CoverageTable::Find(const ProcessKey& process) const {
  std::lock_guard lock(mutex_);
  auto found = processes_.find(process);
  if (found == processes_.end()) return std::nullopt;
  return found->second;
}

}  // namespace pprofd
