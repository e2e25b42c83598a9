#include "daemon/collector/capture_slots.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace pprofd {
namespace {

constexpr uint64_t kPeriod = 10'101'010;

class CaptureSlotsTest : public testing::Test {
 protected:
  CaptureSlotsTest()
      : table_(PPROFD_CAPTURE_SLOTS),
        slots_(std::span<pprofd_capture_slot, PPROFD_CAPTURE_SLOTS>(
                   table_.data(), PPROFD_CAPTURE_SLOTS),
               &whole_host_) {}

  static ptrdiff_t BucketOf(int32_t pid, uint64_t period_ns) {
    return static_cast<ptrdiff_t>(
        pprofd_capture_bucket(static_cast<uint32_t>(pid), period_ns));
  }

  // As the kernel half looks.
  bool IsCaptured(int32_t pid, uint64_t period_ns) const {
    ptrdiff_t first = BucketOf(pid, period_ns);
    return std::any_of(table_.begin() + first,
                       table_.begin() + first + PPROFD_CAPTURE_BUCKET_SLOTS,
                       [&](const pprofd_capture_slot& slot) {
                         return slot.in_use != 0 &&
                                slot.tgid == static_cast<uint32_t>(pid) &&
                                slot.period_ns == period_ns;
                       });
  }

  // Processes whose pairs with kPeriod share one bucket.
  static std::vector<int32_t> PidsOfOneBucket(size_t count) {
    std::vector<int32_t> pids = {1};
    for (int32_t pid = 2; pids.size() < count; ++pid) {
      if (BucketOf(pid, kPeriod) == BucketOf(1, kPeriod)) pids.push_back(pid);
    }
    return pids;
  }

  size_t InUse() const {
    return static_cast<size_t>(std::count_if(
        table_.begin(), table_.end(),
        [](const pprofd_capture_slot& slot) { return slot.in_use != 0; }));
  }

  std::vector<pprofd_capture_slot> table_;
  uint32_t whole_host_ = 0;
  CaptureSlots slots_;
};

TEST_F(CaptureSlotsTest, APairIsCapturedUntilItIsRemoved) {
  ASSERT_TRUE(slots_.Add(42, kPeriod).ok());
  EXPECT_TRUE(IsCaptured(42, kPeriod));
  EXPECT_FALSE(IsCaptured(42, kPeriod + 1));
  EXPECT_FALSE(IsCaptured(43, kPeriod));
  slots_.Remove(42, kPeriod);
  EXPECT_FALSE(IsCaptured(42, kPeriod));
  EXPECT_EQ(InUse(), 0U);
}

TEST_F(CaptureSlotsTest, AddingAgainTakesNoSecondSlot) {
  ASSERT_TRUE(slots_.Add(42, kPeriod).ok());
  ASSERT_TRUE(slots_.Add(42, kPeriod).ok());
  EXPECT_EQ(InUse(), 1U);
  slots_.Remove(42, kPeriod);
  EXPECT_FALSE(IsCaptured(42, kPeriod));
}

TEST_F(CaptureSlotsTest, TheWholeHostIsCountedByPeriod) {
  ASSERT_TRUE(slots_.Add(0, kPeriod).ok());
  ASSERT_TRUE(slots_.Add(0, kPeriod).ok());
  ASSERT_TRUE(slots_.Add(0, kPeriod / 2).ok());
  EXPECT_EQ(whole_host_, 2U);
  slots_.Remove(0, kPeriod);
  slots_.Remove(0, kPeriod);
  EXPECT_EQ(whole_host_, 1U);
  EXPECT_TRUE(IsCaptured(0, kPeriod / 2));
}

TEST_F(CaptureSlotsTest, AFullBucketRefusesAndKeepsWhatItHas) {
  std::vector<int32_t> pids = PidsOfOneBucket(PPROFD_CAPTURE_BUCKET_SLOTS + 1);
  int32_t last = pids.back();
  pids.pop_back();
  for (int32_t pid : pids) ASSERT_TRUE(slots_.Add(pid, kPeriod).ok());
  EXPECT_EQ(slots_.Add(last, kPeriod).code(), StatusCode::kExhausted);
  for (int32_t pid : pids) EXPECT_TRUE(IsCaptured(pid, kPeriod));
  slots_.Remove(pids[1], kPeriod);
  EXPECT_TRUE(slots_.Add(last, kPeriod).ok());
  EXPECT_TRUE(IsCaptured(last, kPeriod));
  EXPECT_TRUE(IsCaptured(pids[3], kPeriod));
}

TEST_F(CaptureSlotsTest, FiveHundredProcessesAtOneRateFit) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::fill(table_.begin(), table_.end(), pprofd_capture_slot{});
    std::mt19937 random(seed);
    for (int i = 0; i < 512; ++i) {
      auto pid = static_cast<int32_t>(random() % 4'194'304 + 1);
      ASSERT_TRUE(slots_.Add(pid, kPeriod).ok()) << seed << ": " << i;
    }
  }
}

TEST_F(CaptureSlotsTest, PidsInRegularStepsFit) {
  for (int32_t step : {1, 2, 64, 4096, 6765}) {
    std::fill(table_.begin(), table_.end(), pprofd_capture_slot{});
    for (int32_t i = 1; i <= 512; ++i) {
      ASSERT_TRUE(slots_.Add(i * step, kPeriod).ok()) << step << ": " << i;
    }
  }
}

}  // namespace
}  // namespace pprofd
