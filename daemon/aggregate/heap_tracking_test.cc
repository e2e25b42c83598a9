#include "daemon/aggregate/heap_tracking.h"

#include <gtest/gtest.h>

#include "bpf/abi.h"
#include "daemon/aggregate/sample_for_test.h"

namespace pprofd {
namespace {

constexpr uint64_t kPeriod = 524288;
constexpr ProcessKey kProcess{7, 100};

Sample Block(int64_t time_ns, uint64_t address, int64_t bytes = 64) {
  Sample sample = SampleAt(time_ns, 7, {FileFrame(2, 0x10)});
  sample.kind = ProfileKind::kHeap;
  sample.value = bytes;
  sample.period = kPeriod;
  sample.address = {address};
  return sample;
}

FreeEvent Free(int64_t time_ns, uint64_t address, int64_t alloc_time_ns) {
  return {.time = {time_ns},
          .pid = 7,
          .tracking = 1,
          .address = {address},
          .alloc_time = {alloc_time_ns}};
}

class HeapTrackingTest : public ::testing::Test {
 protected:
  HeapRecord Only() const {
    HeapSnapshot snapshot = tracking_.Snapshot({100 * kSecond});
    EXPECT_EQ(snapshot.records.size(), 1u);
    return snapshot.records.empty() ? HeapRecord() : snapshot.records[0];
  }

  HeapTracking tracking_{1, kProcess, {0}, HeapTracking::Options()};
};

TEST_F(HeapTrackingTest, CountsBlocksUntilTheyAreFreed) {
  tracking_.OnAlloc(Block(1, 0x1000));
  tracking_.OnAlloc(Block(2, 0x2000));
  tracking_.OnFree(Free(3, 0x1000, 1));
  EXPECT_EQ(Only().allocs, 2);
  EXPECT_EQ(Only().inuse, 1);
  EXPECT_EQ(Only().weighted_allocs, 2);
  EXPECT_EQ(tracking_.live_count(), 1u);
}

TEST_F(HeapTrackingTest, CountsFreesAlsoOfATimeAndOfADifference) {
  tracking_.OnAlloc(Block(1, 0x1000));
  tracking_.OnAlloc(Block(2, 0x2000));
  tracking_.OnFree(Free(3, 0x1000, 1));
  EXPECT_EQ(Only().frees, 1);
  HeapSnapshot before = tracking_.Snapshot({4});
  before.totals.allocs_by_size[3] = 2;
  tracking_.OnFree(Free(5, 0x2000, 2));
  EXPECT_EQ(Only().frees, 2);
  EXPECT_EQ(tracking_.Between({0}, {4}).records[0].frees, 1);
  HeapSnapshot after = tracking_.Snapshot({6});
  after.totals.allocs_by_size[3] = 9;
  HeapSnapshot change = Difference(before, after);
  EXPECT_EQ(change.records[0].frees, 1);
  EXPECT_EQ(change.totals.allocs_by_size[3], 7u);
}

TEST_F(HeapTrackingTest, KeepsSizesApart) {
  tracking_.OnAlloc(Block(1, 0x1000, 64));
  tracking_.OnAlloc(Block(2, 0x2000, 65));
  EXPECT_EQ(tracking_.Snapshot({9}).records.size(), 2u);
  EXPECT_EQ(tracking_.Snapshot({9}).stacks.size(), 1u);
}

TEST_F(HeapTrackingTest, MatchesAFreeThatOvertookItsSample) {
  tracking_.OnFree(Free(3, 0x1000, 1));
  tracking_.OnAlloc(Block(1, 0x1000));
  EXPECT_EQ(Only().allocs, 1);
  EXPECT_EQ(Only().inuse, 0);
  EXPECT_EQ(tracking_.live_count(), 0u);
}

TEST_F(HeapTrackingTest, ABlockHandedOutAgainWasFreed) {
  tracking_.OnAlloc(Block(1, 0x1000));
  tracking_.OnAlloc(Block(5, 0x1000));
  EXPECT_EQ(Only().allocs, 2);
  EXPECT_EQ(Only().inuse, 1);
  tracking_.OnFree(Free(6, 0x1000, 5));
  EXPECT_EQ(Only().inuse, 0);
  ASSERT_EQ(tracking_.Snapshot({9}).notes.size(), 1u);
}

TEST_F(HeapTrackingTest, ALateSampleOfAnAddressInUseAgainIsGone) {
  tracking_.OnAlloc(Block(5, 0x1000));
  tracking_.OnAlloc(Block(1, 0x1000));
  EXPECT_EQ(Only().inuse, 1);
  tracking_.OnFree(Free(6, 0x1000, 5));
  EXPECT_EQ(Only().inuse, 0);
}

TEST_F(HeapTrackingTest, ShowsBlocksThatTheKernelHalfCouldNotHold) {
  Sample sample = Block(1, 0x1000);
  sample.flags |= PPROFD_SAMPLE_UNTRACKED;
  tracking_.OnAlloc(sample);
  EXPECT_EQ(Only().allocs, 1);
  EXPECT_EQ(Only().inuse, 0);
  EXPECT_EQ(tracking_.Snapshot({9}).notes.size(), 1u);
}

TEST_F(HeapTrackingTest, WindowsStandForTheTimeAroundThem) {
  tracking_.OnAlloc(Block(1, 0x1000));
  tracking_.StopWatchingFrees();
  tracking_.OnAlloc(Block(2, 0x2000));
  EXPECT_EQ(Only().allocs, 1);
  tracking_.EndWindow(10);
  EXPECT_EQ(Only().allocs, 2);
  EXPECT_EQ(Only().weighted_allocs, 11);
  EXPECT_EQ(Only().inuse, 0);
  EXPECT_FALSE(tracking_.Snapshot({9}).has_inuse);
}

TEST_F(HeapTrackingTest, KnowsNoBlocksFromBeforeFreesWereWatchedAgain) {
  tracking_.OnAlloc(Block(1, 0x1000));
  tracking_.StopWatchingFrees();
  tracking_.StartWatchingFrees({5});
  tracking_.OnFree(Free(6, 0x1000, 1));
  tracking_.OnAlloc(Block(7, 0x2000));
  EXPECT_EQ(Only().inuse, 1);
  EXPECT_TRUE(tracking_.Snapshot({9}).has_inuse);
  EXPECT_EQ(tracking_.Snapshot({9}).inuse_since, BootTime{5});
}

TEST_F(HeapTrackingTest, TellsWhatChangedInATimeOfThePast) {
  tracking_.OnAlloc(Block(1, 0x1000));
  tracking_.OnAlloc(Block(5, 0x2000));
  tracking_.OnFree(Free(6, 0x1000, 1));
  HeapSnapshot between = tracking_.Between({5}, {7});
  ASSERT_EQ(between.records.size(), 1u);
  EXPECT_EQ(between.records[0].allocs, 1);
  EXPECT_EQ(between.records[0].inuse, 0);
  EXPECT_EQ(tracking_.Between({6}, {7}).records[0].inuse, -1);
}

TEST_F(HeapTrackingTest, DifferencesOfInUseMayBeNegative) {
  tracking_.OnAlloc(Block(1, 0x1000));
  HeapSnapshot before = tracking_.Snapshot({2});
  tracking_.OnFree(Free(3, 0x1000, 1));
  HeapSnapshot change = Difference(before, tracking_.Snapshot({4}));
  EXPECT_EQ(change.records[0].allocs, 0);
  EXPECT_EQ(change.records[0].inuse, -1);
  EXPECT_EQ(change.since, BootTime{2});
}

TEST(HeapTracking, LosesAndSaysSoWhatItHasNoRoomFor) {
  HeapTracking::Options options;
  options.max_records = 2;
  HeapTracking tracking(1, kProcess, {0}, options);
  for (int64_t size = 1; size <= 5; ++size) {
    tracking.OnAlloc(Block(size, 0x1000 * static_cast<uint64_t>(size), size));
  }
  HeapSnapshot snapshot = tracking.Snapshot({9});
  EXPECT_EQ(snapshot.records.size(), 2u);
  ASSERT_EQ(snapshot.notes.size(), 1u);
  EXPECT_NE(snapshot.notes[0].find(": 3"), std::string::npos);
}

TEST_F(HeapTrackingTest, CountsFreesWhoseSamplesNeverCome) {
  for (uint64_t i = 0; i < 65'537; ++i) tracking_.OnFree(Free(3, i, 1));
  HeapSnapshot snapshot = tracking_.Snapshot({9});
  ASSERT_EQ(snapshot.notes.size(), 1u);
  EXPECT_NE(snapshot.notes[0].find("65536"), std::string::npos);
}

TEST(HeapTracking, ForgetsOldChangesAndSaysSinceWhen) {
  HeapTracking::Options options;
  options.max_changes = 4;
  HeapTracking tracking(1, kProcess, {0}, options);
  for (int64_t i = 1; i <= 10; ++i) {
    tracking.OnAlloc(Block(i, 0x1000 * static_cast<uint64_t>(i)));
  }
  HeapSnapshot between = tracking.Between({0}, {100});
  EXPECT_EQ(between.records[0].allocs, 4);
  EXPECT_GE(between.since, BootTime{6});
}

}  // namespace
}  // namespace pprofd
