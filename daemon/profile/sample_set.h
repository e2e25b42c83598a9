// SampleSet: the samples of a profile before its tables have their order.
//
// Stacks are sequences of locations, each held once; samples with equal stack
// and labels are merged when sorted.
// Owns: sequences and samples. Borrows: nothing.
// Thread: one thread.
// Bound: the rows of the aggregate.
#ifndef DAEMON_PROFILE_SAMPLE_SET_H_
#define DAEMON_PROFILE_SAMPLE_SET_H_

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "daemon/model/sample.h"

namespace pprofd {

// Labels of a sample; what a profile does not show is empty.
struct SampleLabels {
  int32_t pid = -1;  // -1 = not shown
  Comm comm{};
  Comm thread{};
  int32_t tid = -1;
  int64_t cpu = -1;
  uint64_t cgroup_id = 0;
  int64_t block_bytes = 0;  // 0 = not shown
  auto operator<=>(const SampleLabels&) const = default;
};

class SampleSet {
 public:
  struct Sample {
    uint32_t sequence = 0;
    SampleLabels labels;
    SampleValues values{};
  };

  // Keeps a stack, leaf first; its number.
  uint32_t AddSequence(std::vector<uint32_t> locations);
  void AddSample(const Sample& sample) { samples_.push_back(sample); }

  // Renames every location to order[location], then sorts and merges.
  void Canonicalize(std::span<const uint32_t> order);

  const std::vector<Sample>& samples() const { return samples_; }
  const std::vector<uint32_t>& sequence(uint32_t number) const {
    return sequences_[number];
  }

 private:
  std::vector<std::vector<uint32_t>> sequences_;
  std::vector<Sample> samples_;
};

}  // namespace pprofd

#endif  // DAEMON_PROFILE_SAMPLE_SET_H_
