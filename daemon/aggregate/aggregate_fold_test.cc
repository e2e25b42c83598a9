#include "daemon/aggregate/aggregate_fold.h"

#include <gtest/gtest.h>

#include "daemon/aggregate/sample_for_test.h"

namespace pprofd {
namespace {

const TimeRange kFirst{{0}, {10 * kSecond}};
const TimeRange kSecondRange{{10 * kSecond}, {20 * kSecond}};

std::vector<Frame> Stack(uint64_t leaf) {
  return {FileFrame(2, leaf, false), FileFrame(2, 100), FileFrame(2, 200)};
}

TEST(AggregateFold, MergesEqualStacksOfSeveralWindows) {
  Window first(kFirst, 1 << 20);
  Window second(kSecondRange, 1 << 20);
  ASSERT_TRUE(first.Append(SampleAt(1 * kSecond, 7, Stack(1))));
  ASSERT_TRUE(second.Append(SampleAt(11 * kSecond, 7, Stack(2))));
  ASSERT_TRUE(second.Append(SampleAt(12 * kSecond, 7, Stack(1))));
  AggregateFold fold({{0}, {20 * kSecond}}, {}, {});
  fold.Add(first);
  fold.Add(second);
  Aggregate aggregate = std::move(fold).Finish();
  ASSERT_EQ(aggregate.rows.size(), 2u);
  EXPECT_EQ(aggregate.rows[0].values[0], 2);
  EXPECT_EQ(aggregate.rows[0].values[1], 2 * kPeriodNs);
  EXPECT_EQ(aggregate.stacks[aggregate.rows[0].stack], Stack(1));
  EXPECT_EQ(aggregate.stacks[aggregate.rows[1].stack], Stack(2));
  EXPECT_EQ(aggregate.samples, 3);
  EXPECT_EQ(aggregate.complete, 3);
}

TEST(AggregateFold, CutsAtExactTimesHalfOpen) {
  Window window(kFirst, 1 << 20);
  for (int64_t time : {999, 1000, 1001, 1999, 2000}) {
    ASSERT_TRUE(window.Append(SampleAt(time, 7, Stack(1))));
  }
  AggregateFold fold({{1000}, {2000}}, {}, {});
  fold.Add(window);
  EXPECT_EQ(std::move(fold).Finish().samples, 3);
}

TEST(AggregateFold, KeepsApartOnlyWhatWasAskedFor) {
  Window window(kFirst, 1 << 20);
  for (int i = 0; i < 4; ++i) {
    Sample sample = SampleAt(i, 7, Stack(1));
    sample.tid = 7 + i % 2;
    sample.cpu = static_cast<uint32_t>(i / 2);
    ASSERT_TRUE(window.Append(sample));
  }
  auto rows = [&](const AggregateFields& fields) {
    AggregateFold fold(kFirst, {}, fields);
    fold.Add(window);
    return std::move(fold).Finish().rows;
  };
  EXPECT_EQ(rows({}).size(), 1u);
  EXPECT_EQ(rows({})[0].tid, 0);
  EXPECT_EQ(rows({.tid = true}).size(), 2u);
  EXPECT_EQ(rows({.tid = true, .cpu = true}).size(), 4u);
  EXPECT_EQ(rows({.comm = true})[0].comm, MakeComm("worker"));
}

TEST(AggregateFold, FiltersByProcessAndThread) {
  Window window(kFirst, 1 << 20);
  Sample reused = SampleAt(0, 7, Stack(1));
  reused.process.start_ticks = 999;
  ASSERT_TRUE(window.Append(reused));
  ASSERT_TRUE(window.Append(SampleAt(0, 7, Stack(1))));
  ASSERT_TRUE(window.Append(SampleAt(0, 8, Stack(1))));
  auto samples = [&](const SampleFilter& filter) {
    AggregateFold fold(kFirst, filter, {});
    fold.Add(window);
    return std::move(fold).Finish().samples;
  };
  EXPECT_EQ(samples({}), 3);
  EXPECT_EQ(samples({.pid = 7}), 2);
  EXPECT_EQ(samples({.pid = 7, .start_ticks = 100}), 1);
  EXPECT_EQ(samples({.tid = 8}), 1);
  EXPECT_EQ(samples({.pid = 9}), 0);
}

TEST(AggregateFold, CountsHowUnwindingEndedAndThePeriodsMet) {
  Window window(kFirst, 1 << 20);
  Sample truncated = SampleAt(0, 7, Stack(1));
  truncated.result = UnwindResult::kTruncated;
  truncated.reason = 4;
  Sample mixed = SampleAt(0, 7, Stack(1));
  mixed.result = UnwindResult::kMixed;
  mixed.value = 2 * kPeriodNs;
  Sample kernel = SampleAt(0, 2, {Frame::Kernel(1, false)});
  kernel.result = UnwindResult::kNone;
  for (const Sample& sample : {truncated, mixed, kernel}) {
    ASSERT_TRUE(window.Append(sample));
  }
  AggregateFold fold(kFirst, {}, {});
  fold.Add(window);
  Aggregate aggregate = std::move(fold).Finish();
  EXPECT_EQ(aggregate.truncated, 1);
  EXPECT_EQ(aggregate.mixed, 1);
  EXPECT_EQ(aggregate.without_user, 1);
  EXPECT_EQ(aggregate.reasons, (std::map<uint32_t, int64_t>{{4, 1}}));
  EXPECT_EQ(aggregate.periods,
            (std::map<int64_t, int64_t>{{kPeriodNs, 2}, {2 * kPeriodNs, 1}}));
  EXPECT_EQ(aggregate.value, 4 * kPeriodNs);
}

}  // namespace
}  // namespace pprofd
