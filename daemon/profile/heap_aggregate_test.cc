#include "daemon/profile/heap_aggregate.h"

#include <gtest/gtest.h>

#include <limits>
#include <ostream>
#include <utility>
#include <vector>

namespace pprofd {

void PrintTo(const HeapValues& values, std::ostream* out) {
  *out << "(" << values.objects << ", " << values.bytes << ")";
}

namespace {

constexpr uint64_t kPeriod = 524'288;

TEST(Unsample, GivesWhatGoGives) {
  EXPECT_EQ(Unsample(1, 1024, kPeriod), (HeapValues{512, 524'800}));
  EXPECT_EQ(Unsample(3, 1024, kPeriod), (HeapValues{1537, 1'574'400}));
  EXPECT_EQ(Unsample(1, 576, kPeriod), (HeapValues{910, 524'576}));
  EXPECT_EQ(Unsample(2, 464, kPeriod), (HeapValues{2260, 1'049'040}));
  EXPECT_EQ(Unsample(1, 524'288, kPeriod), (HeapValues{1, 829'411}));
  EXPECT_EQ(Unsample(46, 73'728, kPeriod), (HeapValues{350, 25'852'722}));
}

TEST(Unsample, LeavesWhatWasNotSampledAsItIs) {
  EXPECT_EQ(Unsample(50'000, 1024, 1), (HeapValues{50'000, 51'200'000}));
  EXPECT_EQ(Unsample(7, 24, 0), (HeapValues{7, 168}));
}

TEST(Unsample, MakesNothingOfNothing) {
  EXPECT_EQ(Unsample(0, 1024, kPeriod), HeapValues{});
  EXPECT_EQ(Unsample(5, 0, kPeriod), HeapValues{});
  EXPECT_EQ(Unsample(5, 0, 1), HeapValues{});
}

TEST(Unsample, TreatsBothSidesOfADifferenceAlike) {
  for (uint64_t block : {1, 24, 1024, 464, 73'728, 1 << 20}) {
    for (double count : {1.0, 3.0, 46.0, 0.25, 17.75}) {
      HeapValues more = Unsample(count, block, kPeriod);
      EXPECT_EQ(Unsample(-count, block, kPeriod),
                (HeapValues{-more.objects, -more.bytes}));
    }
  }
}

TEST(Unsample, ScalesPartsOfABlock) {
  EXPECT_EQ(Unsample(2.5, 1000, 1), (HeapValues{2, 2500}));
  EXPECT_EQ(Unsample(0.5, 1024, kPeriod), (HeapValues{256, 262'400}));
}

TEST(Unsample, KeepsItsPrecisionForSmallBlocksAndLongPeriods) {
  HeapValues values = Unsample(1, 1, uint64_t{1} << 60);
  EXPECT_EQ(values.objects, int64_t{1} << 60);
  EXPECT_EQ(values.bytes, int64_t{1} << 60);
}

TEST(Unsample, StopsAtTheLargestNumbers) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(Unsample(1e15, UINT64_MAX, kPeriod).bytes, INT64_MAX);
  EXPECT_EQ(Unsample(-1e15, UINT64_MAX, 1).bytes, INT64_MIN);
  EXPECT_EQ(Unsample(kInfinity, 1, kPeriod).objects, INT64_MAX);
  EXPECT_EQ(Unsample(-kInfinity, 1, kPeriod).objects, INT64_MIN);
  EXPECT_EQ(Unsample(kInfinity - kInfinity, 1, 1), HeapValues{});
}

HeapSnapshot SnapshotOf(std::vector<HeapRecord> records) {
  HeapSnapshot snapshot;
  snapshot.records = std::move(records);
  return snapshot;
}
HeapRecord Record(uint64_t bytes, uint64_t period, int64_t allocs,
                  int64_t inuse, int64_t frees) {
  return {.block_bytes = bytes,
          .period_bytes = period,
          .allocs = allocs,
          .inuse = inuse,
          .frees = frees,
          .weighted_allocs = static_cast<double>(allocs)};
}

TEST(FreesBySize, CountsThemWhenEveryBlockIsSampled) {
  HeapFrees frees =
      FreesBySize(SnapshotOf({Record(64, 1, 10, 4, 6), Record(40, 1, 3, 0, 3),
                              Record(65, 1, 2, 1, 1)}));
  EXPECT_EQ(frees.quality, HeapFrees::Quality::kCounted);
  EXPECT_EQ(frees.by_size[pprofd_size_class(64)], 9u);
  EXPECT_EQ(frees.by_size[pprofd_size_class(65)], 1u);
}

TEST(FreesBySize, ScalesThemAsAllElse) {
  HeapFrees frees = FreesBySize(SnapshotOf({Record(1024, kPeriod, 5, 2, 3)}));
  EXPECT_EQ(frees.quality, HeapFrees::Quality::kEstimated);
  EXPECT_EQ(frees.by_size[pprofd_size_class(1024)], 1537u);
}

TEST(FreesBySize, SaysWhenBlocksWereNotFollowed) {
  HeapFrees frees = FreesBySize(
      SnapshotOf({Record(64, 1, 10, 4, 5), Record(64, kPeriod, 1, 0, 1)}));
  EXPECT_EQ(frees.quality, HeapFrees::Quality::kPartial);
}

TEST(FreesBySize, KnowsNoneWhenFreesAreNotWatched) {
  HeapSnapshot snapshot = SnapshotOf({Record(64, 1, 10, 0, 10)});
  snapshot.has_inuse = false;
  EXPECT_EQ(FreesBySize(snapshot).quality, HeapFrees::Quality::kUnknown);
}

TEST(FreesBySize, OfADifferenceAreNeverNegative) {
  HeapFrees frees = FreesBySize(SnapshotOf({Record(64, 1, 0, 1, -1)}));
  EXPECT_EQ(frees.by_size[pprofd_size_class(64)], 0u);
}

TEST(SizeClass, EndsAtPowersOfTwo) {
  EXPECT_EQ(pprofd_size_class(0), 0u);
  EXPECT_EQ(pprofd_size_class(8), 0u);
  EXPECT_EQ(pprofd_size_class(9), 1u);
  EXPECT_EQ(pprofd_size_class(UINT64_MAX), PPROFD_HEAP_SIZE_CLASSES - 1u);
  for (uint32_t i = 0; i < PPROFD_HEAP_SIZE_CLASSES; ++i) {
    EXPECT_EQ(pprofd_size_class(pprofd_size_class_first(i)), i);
    EXPECT_EQ(pprofd_size_class(pprofd_size_class_last(i)), i);
    if (i == 0) continue;
    EXPECT_EQ(pprofd_size_class_first(i), pprofd_size_class_last(i - 1) + 1);
  }
}

}  // namespace
}  // namespace pprofd
