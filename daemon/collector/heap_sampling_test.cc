#include "bpf/heap_sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace {

uint64_t ScaleOf(uint64_t period) { return (uint64_t{1} << 56) / period; }

// The share of the 32-bit numbers that sample the block, by bisection: it is
// monotonous.
double Probability(uint64_t bytes, uint64_t period) {
  uint64_t low = 0, high = PPROFD_ONE;
  while (low < high) {
    uint64_t middle = (low + high) / 2;
    if (pprofd_is_sampled(static_cast<uint32_t>(middle), bytes,
                          ScaleOf(period)) != 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return static_cast<double>(low) / static_cast<double>(PPROFD_ONE);
}

TEST(HeapSampling, TakesBlocksByTheirBytes) {
  for (uint64_t period : {uint64_t{512}, uint64_t{524288}, uint64_t{1} << 30}) {
    for (double periods : {0.0001, 0.01, 0.3, 0.999, 1.0, 1.5, 3.7, 15.9}) {
      auto bytes = static_cast<uint64_t>(periods * static_cast<double>(period));
      if (bytes == 0) continue;
      double wanted = -std::expm1(-static_cast<double>(bytes) /
                                  static_cast<double>(period));
      EXPECT_NEAR(Probability(bytes, period) / wanted, 1, 1e-4)
          << bytes << " of " << period;
    }
  }
}

TEST(HeapSampling, TakesSmallBlocksNeitherTooOftenNorNever) {
  double wanted = -std::expm1(-24.0 / 524288);
  EXPECT_NEAR(Probability(24, 524288) / wanted, 1, 1e-4);
  EXPECT_GT(Probability(1, 524288), 0);
}

TEST(HeapSampling, SamplesAsManyAsItsProbabilitySays) {
  std::mt19937 random(1);
  int taken = 0;
  constexpr int kBlocks = 1'000'000;
  for (int i = 0; i < kBlocks; ++i) {
    taken += pprofd_is_sampled(static_cast<uint32_t>(random()), 65536,
                               ScaleOf(524288));
  }
  double wanted = -std::expm1(-65536.0 / 524288) * kBlocks;
  EXPECT_NEAR(taken, wanted, 4 * std::sqrt(wanted));
}

}  // namespace
