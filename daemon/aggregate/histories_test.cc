#include "daemon/aggregate/histories.h"

#include <gtest/gtest.h>

#include "daemon/aggregate/sample_for_test.h"
#include "daemon/base/telemetry.h"

namespace pprofd {
namespace {

constexpr BootTime kLongAgo{0};
constexpr BootTime kFarAhead{1'000'000 * kSecond};

// A stack of its own for each number, so that none shares memory.
Sample Numbered(int64_t time_ns, int32_t pid, uint64_t number) {
  return SampleAt(time_ns, pid, {FileFrame(2, number), FileFrame(3, number)});
}

int64_t Samples(const Histories& histories, ProfileKind kind) {
  return histories.Of(kind).Query(kLongAgo, kFarAhead, {}, {}).samples;
}

TEST(Histories, KeepsKindsApart) {
  Histories histories({});
  histories.Of(ProfileKind::kCpu).Append(Numbered(100 * kSecond, 7, 1));
  histories.Of(ProfileKind::kRss).Append(Numbered(100 * kSecond, 8, 2));
  histories.Of(ProfileKind::kRss).Append(Numbered(101 * kSecond, 8, 2));
  EXPECT_EQ(Samples(histories, ProfileKind::kCpu), 1);
  EXPECT_EQ(Samples(histories, ProfileKind::kRss), 2);
}

TEST(Histories, NamesTheProcessesAndModulesOfAllKindsOnce) {
  Histories histories({});
  histories.Of(ProfileKind::kCpu)
      .Append(SampleAt(kSecond, 7, {FileFrame(5, 1)}));
  histories.Of(ProfileKind::kCpu)
      .Append(SampleAt(kSecond, 9, {FileFrame(2, 1)}));
  histories.Of(ProfileKind::kRss)
      .Append(SampleAt(kSecond, 8, {FileFrame(4, 1)}));
  histories.Of(ProfileKind::kRss)
      .Append(SampleAt(kSecond, 9, {FileFrame(2, 1)}));
  EXPECT_EQ(histories.Processes(),
            (std::vector<ProcessKey>{{7, 100}, {8, 100}, {9, 100}}));
  EXPECT_EQ(
      histories.ModulesInUse(),
      (std::vector<ModuleId>{static_cast<ModuleId>(2), static_cast<ModuleId>(4),
                             static_cast<ModuleId>(5)}));
}

TEST(Histories, AKindThatHappensOftenDoesNotPushOutAnother) {
  Histories histories({.max_bytes = 1 << 20});
  histories.Of(ProfileKind::kCpu).Append(Numbered(100 * kSecond, 7, 1));
  for (uint64_t i = 0; i < 100'000; ++i) {
    histories.Of(ProfileKind::kRss)
        .Append(Numbered(100 * kSecond + static_cast<int64_t>(i) * 1'000'000, 8,
                         i));
  }
  EXPECT_LT(Samples(histories, ProfileKind::kRss), 100'000);
  EXPECT_EQ(Samples(histories, ProfileKind::kCpu), 1);
  size_t bytes = histories.Of(ProfileKind::kRss).bytes() +
                 histories.Of(ProfileKind::kCpu).bytes();
  EXPECT_LE(bytes, size_t{1} << 20);
}

TEST(Histories, ForgetsWhatIsTooOldOfEveryKind) {
  Histories histories({.max_age_ns = 60 * kSecond});
  histories.Of(ProfileKind::kCpu).Append(Numbered(100 * kSecond, 7, 1));
  histories.Of(ProfileKind::kRss).Append(Numbered(100 * kSecond, 8, 2));
  histories.Advance({1000 * kSecond});
  EXPECT_TRUE(histories.Processes().empty());
}

TEST(Histories, CountsTheBytesOfAllKinds) {
  uint64_t before = GlobalCounters().Get(Counter::history_bytes);
  {
    Histories histories({});
    histories.Of(ProfileKind::kCpu).Append(Numbered(100 * kSecond, 7, 1));
    histories.Of(ProfileKind::kRss).Append(Numbered(100 * kSecond, 8, 2));
    histories.Advance({101 * kSecond});
    EXPECT_EQ(GlobalCounters().Get(Counter::history_bytes),
              before + histories.Of(ProfileKind::kCpu).bytes() +
                  histories.Of(ProfileKind::kRss).bytes());
  }
  EXPECT_EQ(GlobalCounters().Get(Counter::history_bytes), before);
}

}  // namespace
}  // namespace pprofd
