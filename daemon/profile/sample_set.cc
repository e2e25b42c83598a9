#include "daemon/profile/sample_set.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

namespace pprofd {
namespace {

void Add(const SampleValues& from, SampleValues& to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

}  // namespace

uint32_t SampleSet::AddSequence(std::vector<uint32_t> locations) {
  sequences_.push_back(std::move(locations));
  return static_cast<uint32_t>(sequences_.size() - 1);
}

void SampleSet::Canonicalize(std::span<const uint32_t> order) {
  for (std::vector<uint32_t>& sequence : sequences_) {
    for (uint32_t& location : sequence) location = order[location];
  }
  // Equal sequences get the number of one of them, and numbers follow order.
  std::vector<uint32_t> sorted(sequences_.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  std::sort(sorted.begin(), sorted.end(), [this](uint32_t a, uint32_t b) {
    return sequences_[a] < sequences_[b];
  });
  std::vector<uint32_t> rank(sequences_.size());
  std::vector<std::vector<uint32_t>> distinct;
  for (uint32_t number : sorted) {
    if (distinct.empty() || distinct.back() != sequences_[number]) {
      distinct.push_back(std::move(sequences_[number]));
    }
    rank[number] = static_cast<uint32_t>(distinct.size() - 1);
  }
  sequences_ = std::move(distinct);

  for (Sample& sample : samples_) sample.sequence = rank[sample.sequence];
  std::sort(
      samples_.begin(), samples_.end(), [](const Sample& a, const Sample& b) {
        return std::tie(a.sequence, a.labels) < std::tie(b.sequence, b.labels);
      });
  size_t kept = 0;
  for (const Sample& sample : samples_) {
    if (kept > 0 && samples_[kept - 1].sequence == sample.sequence &&
        samples_[kept - 1].labels == sample.labels) {
      Add(sample.values, samples_[kept - 1].values);
    } else {
      samples_[kept++] = sample;
    }
  }
  samples_.resize(kept);
}

}  // namespace pprofd
