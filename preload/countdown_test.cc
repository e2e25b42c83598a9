#include "preload/countdown.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <thread>
#include <vector>

namespace pprofd {
namespace {

// As the allocator does; the period, or 0 when the block is not sampled.
uint64_t Count(uint64_t bytes) {
  return countdown_goes_on(bytes) ? 0 : countdown_end(bytes);
}

// Of so many blocks, on a thread whose countdown begins anew.
int CountSampled(uint64_t bytes, int blocks) {
  int sampled = 0;
  std::thread([&] {
    for (int i = 0; i < blocks; ++i) sampled += Count(bytes) != 0;
  }).join();
  return sampled;
}

uint64_t PeriodOfNewThread() {
  uint64_t period = 0;
  std::thread([&] {
    while (period == 0) period = Count(64 << 10);
  }).join();
  return period;
}

// First of all: the period is read once. Large enough that no test of these
// comes near the limit of samples in a second.
class Environment : public testing::Environment {
 public:
  void SetUp() override { setenv("PPROFD_HEAP_PERIOD", "1048576", 1); }
};
const auto* const kEnvironment =
    testing::AddGlobalTestEnvironment(new Environment);
constexpr double kPeriod = 1 << 20;

TEST(Countdown, SamplesBlocksByTheirBytes) {
  for (uint64_t bytes : {1024, 64 << 10, 1 << 20, 3 << 20}) {
    double share = 1 - std::exp(-static_cast<double>(bytes) / kPeriod);
    int blocks = static_cast<int>(500 / share);
    double expected = blocks * share;
    double deviation = std::sqrt(expected * (1 - share));
    EXPECT_NEAR(CountSampled(bytes, blocks), expected, 5 * deviation + 1)
        << bytes;
  }
}

TEST(Countdown, TellsThePeriodThatItWasDrawnWith) {
  EXPECT_EQ(PeriodOfNewThread(), static_cast<uint64_t>(kPeriod));
}

TEST(Countdown, NeverSamplesEmptyBlocks) {
  EXPECT_EQ(CountSampled(0, 100'000), 0);
}

TEST(Countdown, NeverSamplesWhatNoAllocatorGives) {
  std::thread([] {
    for (int i = 0; i < 1000; ++i) {
      EXPECT_EQ(Count(UINT64_MAX), 0u);
      EXPECT_EQ(Count(uint64_t{1} << 63), 0u);
    }
  }).join();
  // What was refused does not keep others from being sampled.
  EXPECT_GT(CountSampled(16 << 20, 100), 90);
}

TEST(Countdown, ThreadsDoNotShareTheirLuck) {
  // With one state for all, each thread would take the same blocks.
  std::vector<int> firsts;
  for (int i = 0; i < 8; ++i) {
    std::thread([&] {
      int index = 0;
      while (Count(16 << 10) == 0) ++index;
      firsts.push_back(index);
    }).join();
  }
  EXPECT_FALSE(std::all_of(firsts.begin(), firsts.end(),
                           [&](int first) { return first == firsts[0]; }));
}

// Last, as it is for good.
TEST(CountdownLast, ARaisedPeriodIsTwiceAsLong) {
  uint64_t before = PeriodOfNewThread();
  countdown_raise_period();
  EXPECT_EQ(PeriodOfNewThread(), 2 * before);
}

}  // namespace
}  // namespace pprofd
