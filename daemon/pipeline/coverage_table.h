// CoverageTable: sampled CPU time beside the CPU time the kernel booked.
//
// Counts the always-on samples of each process since pprofd or the process
// started, whichever was later, so that the two can be compared; the CPU time a
// process had used before is its baseline.
// Thread: locks itself (mutex_).
// Bound: max_processes; further ones are not counted and not shown.
#ifndef DAEMON_PIPELINE_COVERAGE_TABLE_H_
#define DAEMON_PIPELINE_COVERAGE_TABLE_H_

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

#include "daemon/model/sample.h"

namespace pprofd {

struct Coverage {
  int64_t baseline_ns = 0;  // CPU time used before counting began
  int64_t sampled_ns = 0;
  uint64_t samples = 0;
  uint64_t complete = 0;
  uint64_t mixed = 0;
  uint64_t truncated = 0;
  std::map<uint32_t, uint64_t> reasons;  // truncated, by reason
};

class CoverageTable {
 public:
  explicit CoverageTable(size_t max_processes = 65'536)
      : max_processes_(max_processes) {}

  // A process that was alive when sampling started.
  void SetBaseline(const ProcessKey& process, int64_t cpu_time_ns);
  // REQUIRES: an always-on sample.
  void OnSample(const Sample& sample);
  std::optional<Coverage> Find(const ProcessKey& process) const;
  // Forgets the processes for which `is_known(key)` is false.
  template <typename IsKnown>
  void Retain(IsKnown is_known) {
    std::lock_guard lock(mutex_);
    absl::erase_if(processes_,
                   [&](const auto& entry) { return !is_known(entry.first); });
  }

 private:
  const size_t max_processes_;
  mutable std::mutex mutex_;
  absl::flat_hash_map<ProcessKey, Coverage> processes_;  // mutex_
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_COVERAGE_TABLE_H_
