#include "daemon/aggregate/window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bpf/abi.h"
#include "daemon/aggregate/sample_for_test.h"

namespace pprofd {
namespace {

constexpr TimeRange kTenSeconds{{0}, {10 * kSecond}};

TEST(Window, KeepsOneThreadEntryForAThreadsSamples) {
  Window window(kTenSeconds, 1 << 20);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(window.Append(SampleAt(i, 7, {FileFrame(2, 64)})));
  }
  EXPECT_EQ(window.rows().size(), 100u);
  EXPECT_EQ(window.threads().size(), 1u);
  EXPECT_EQ(window.costs().size(), 1u);
  ASSERT_EQ(window.processes().size(), 1u);
  EXPECT_EQ(window.processes()[0].samples, 100);
  EXPECT_EQ(window.processes()[0].value, 100 * kPeriodNs);
}

TEST(Window, RefusesWhatItsBoundCannotHold) {
  Window window(kTenSeconds, 256 << 10);
  uint64_t kept = 0;
  while (kept < 1'000'000 &&
         window.Append(SampleAt(0, 7, {FileFrame(2, kept)}))) {
    ++kept;
  }
  EXPECT_GT(kept, 1000u);
  EXPECT_LT(kept, 1'000'000u);
  EXPECT_LE(window.bytes(), 256u << 10);
}

TEST(Window, NamesModulesOfFramesAndReasons) {
  Window window(kTenSeconds, 1 << 20);
  ASSERT_TRUE(window.Append(SampleAt(
      0, 7,
      {Frame::Kernel(0xffffffff81000000, false), FileFrame(9, 64),
       FileFrame(2, 64), Frame::Reason(1, static_cast<ModuleId>(5))})));
  std::vector<ModuleId> want{static_cast<ModuleId>(2), static_cast<ModuleId>(5),
                             static_cast<ModuleId>(9)};
  EXPECT_EQ(window.Modules(), want);
  window.Seal();
  EXPECT_EQ(window.Modules(), want);
}

TEST(Window, MergesLossesOfOneSecond) {
  Window window(kTenSeconds, 1 << 20);
  window.NoteLost(PPROFD_REASON_RING_FULL, 3, {kSecond});
  window.NoteLost(PPROFD_REASON_RING_FULL, 4, {kSecond + 5});
  window.NoteLost(PPROFD_REASON_CORRUPT_EVENT, 1, {kSecond + 6});
  window.NoteLost(PPROFD_REASON_RING_FULL, 2, {3 * kSecond});
  ASSERT_EQ(window.losses().size(), 3u);
  EXPECT_EQ(window.losses()[0].count, 7);
}

}  // namespace
}  // namespace pprofd
