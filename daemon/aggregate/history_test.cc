#include "daemon/aggregate/history.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "bpf/abi.h"
#include "daemon/aggregate/sample_for_test.h"
#include "daemon/base/telemetry.h"

namespace pprofd {
namespace {

constexpr BootTime kLongAgo{0};
constexpr BootTime kFarAhead{1'000'000 * kSecond};

std::vector<Frame> Stack(uint64_t leaf) {
  return {FileFrame(2, leaf, false), FileFrame(3, 100)};
}

int64_t Samples(const History& history, BootTime from = kLongAgo,
                BootTime to = kFarAhead) {
  return history.Query(from, to, {}, {}).samples;
}

TEST(History, AnswersAcrossOpenAndSealedWindows) {
  History history({});
  for (int64_t second = 100; second < 200; ++second) {
    history.Append(SampleAt(second * kSecond, 7, Stack(1)));
  }
  EXPECT_EQ(Samples(history), 100);
  EXPECT_EQ(Samples(history, {120 * kSecond}, {150 * kSecond}), 30);
  EXPECT_EQ(Samples(history, {120 * kSecond + 1}, {150 * kSecond + 1}), 30);
  Aggregate all = history.Query(kLongAgo, kFarAhead, {}, {});
  EXPECT_EQ(all.rows.size(), 1u);
  EXPECT_EQ(all.start, BootTime{100 * kSecond});
  EXPECT_EQ(all.end, BootTime{199 * kSecond + 1});
}

TEST(History, PutsALateSampleIntoTheWindowItBelongsTo) {
  History history({});
  history.Append(SampleAt(109 * kSecond, 7, Stack(1)));
  history.Append(SampleAt(111 * kSecond, 7, Stack(1)));
  history.Append(SampleAt(105 * kSecond, 7, Stack(1)));
  EXPECT_EQ(Samples(history, {100 * kSecond}, {110 * kSecond}), 2);
  EXPECT_EQ(history.Covered().start, BootTime{105 * kSecond});
}

TEST(History, CountsASampleWhoseWindowIsSealed) {
  History history({});
  history.Append(SampleAt(105 * kSecond, 7, Stack(1)));
  history.Append(SampleAt(125 * kSecond, 7, Stack(1)));
  uint64_t before = GlobalCounters().Get(Counter::history_samples_late);
  history.Append(SampleAt(106 * kSecond, 7, Stack(1)));
  EXPECT_EQ(GlobalCounters().Get(Counter::history_samples_late), before + 1);
  EXPECT_EQ(Samples(history), 2);
}

TEST(History, ForgetsWindowsBeyondTheirAge) {
  History history({.max_age_ns = 60 * kSecond});
  for (int64_t second = 100; second < 300; ++second) {
    history.Append(SampleAt(second * kSecond, 7, Stack(1)));
  }
  EXPECT_EQ(history.Covered().start, BootTime{230 * kSecond});
  EXPECT_EQ(Samples(history), 70);
  history.Advance({1000 * kSecond});
  EXPECT_EQ(Samples(history), 0);
  EXPECT_TRUE(history.Processes().empty());
}

TEST(History, EvictsTheOldestWindowForSpace) {
  constexpr size_t kMaxBytes = 1 << 20;
  History history({.max_bytes = kMaxBytes});
  uint64_t before = GlobalCounters().Get(Counter::windows_evicted);
  for (int64_t i = 0; i < 60'000; ++i) {
    history.Append(SampleAt(100 * kSecond + i * kSecond / 500, 7,
                            Stack(static_cast<uint64_t>(i))));
    ASSERT_LE(history.bytes(), kMaxBytes);
  }
  EXPECT_GT(GlobalCounters().Get(Counter::windows_evicted), before);
  EXPECT_GT(history.Covered().start, BootTime{100 * kSecond});
  EXPECT_EQ(Samples(history, {200 * kSecond}), 10'000);
  EXPECT_EQ(history.samples_refused(), 0);
}

TEST(History, BooksWhatOneWindowCannotHold) {
  History history({.max_bytes = 128 << 10});
  for (int64_t i = 0; i < 10'000; ++i) {
    history.Append(
        SampleAt(100 * kSecond + i, 7, Stack(static_cast<uint64_t>(i))));
  }
  Aggregate aggregate = history.Query(kLongAgo, kFarAhead, {}, {});
  EXPECT_GT(aggregate.samples, 100);
  EXPECT_GT(history.samples_refused(), 0);
  EXPECT_EQ(aggregate.lost[PPROFD_REASON_HISTORY_FULL],
            history.samples_refused());
  EXPECT_EQ(aggregate.samples + history.samples_refused(), 10'000);
}

TEST(History, ShowsLossesOfTheTimeAskedFor) {
  History history({});
  history.NoteLost(PPROFD_REASON_RING_FULL, 5, {101 * kSecond});
  history.NoteLost(PPROFD_REASON_RING_FULL, 6, {108 * kSecond});
  history.Advance({140 * kSecond});
  EXPECT_EQ(history.Query({100 * kSecond}, {105 * kSecond}, {}, {})
                .lost[PPROFD_REASON_RING_FULL],
            5);
  EXPECT_EQ(
      history.Query(kLongAgo, kFarAhead, {}, {}).lost[PPROFD_REASON_RING_FULL],
      11);
}

TEST(History, TellsRecentCpuTimeByProcess) {
  History history({});
  for (int64_t second = 100; second < 150; ++second) {
    history.Append(SampleAt(second * kSecond, 7, Stack(1)));
    if (second >= 140) history.Append(SampleAt(second * kSecond, 8, Stack(1)));
  }
  History::CpuUsage usage = history.RecentCpu(20 * kSecond);
  EXPECT_EQ(usage.range, (TimeRange{{129 * kSecond + 1}, {149 * kSecond + 1}}));
  ASSERT_EQ(usage.processes.size(), 2u);
  EXPECT_EQ(usage.processes[0].process.pid, 7);
  EXPECT_EQ(usage.processes[0].value, 20 * kPeriodNs);
  EXPECT_EQ(usage.processes[1].value, 10 * kPeriodNs);
}

TEST(History, TellsRecentCpuTimeOfLessThanTheSpanAskedFor) {
  History history({});
  history.Append(SampleAt(101 * kSecond, 7, Stack(1)));
  history.Advance({103 * kSecond});
  History::CpuUsage usage = history.RecentCpu(10 * kSecond);
  EXPECT_EQ(usage.range.end.ns - usage.range.start.ns, 2 * kSecond + 1);
  ASSERT_EQ(usage.processes.size(), 1u);
}

TEST(History, NamesTheModulesAndProcessesItRefersTo) {
  History history({});
  history.Append(SampleAt(100 * kSecond, 7, {FileFrame(9, 1)}));
  history.Append(SampleAt(200 * kSecond, 8, {FileFrame(4, 1)}));
  EXPECT_EQ(history.ModulesInUse(),
            (std::vector<ModuleId>{static_cast<ModuleId>(4),
                                   static_cast<ModuleId>(9)}));
  EXPECT_EQ(history.Processes(), (std::vector<ProcessKey>{{7, 100}, {8, 100}}));
}

TEST(History, IsQueriedWhileItGrows) {
  History history({.max_age_ns = 50 * kSecond});
  std::atomic<bool> done{false};
  std::thread reader([&] {
    int64_t last_end = 0;
    while (!done.load()) {
      Aggregate aggregate = history.Query(kLongAgo, kFarAhead, {}, {});
      ASSERT_GE(aggregate.end.ns, last_end);
      last_end = aggregate.end.ns;
    }
  });
  for (int64_t i = 0; i < 20'000; ++i) {
    history.Append(SampleAt(100 * kSecond + i * kSecond / 100, 7,
                            Stack(static_cast<uint64_t>(i % 100))));
  }
  done = true;
  reader.join();
  EXPECT_EQ(Samples(history, {260 * kSecond}), 4'000);
}

}  // namespace
}  // namespace pprofd
