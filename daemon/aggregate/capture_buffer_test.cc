#include "daemon/aggregate/capture_buffer.h"

#include <gtest/gtest.h>

#include "bpf/abi.h"
#include "daemon/aggregate/sample_for_test.h"

namespace pprofd {
namespace {

TEST(CaptureBuffer, AnswersForTheCapturesTime) {
  CaptureBuffer buffer({kSecond});
  buffer.Append(SampleAt(2 * kSecond, 7, {FileFrame(2, 1)}));
  Aggregate aggregate = buffer.Finish({4 * kSecond}, {}, 0);
  EXPECT_EQ(aggregate.start, BootTime{kSecond});
  EXPECT_EQ(aggregate.end, BootTime{4 * kSecond});
  EXPECT_EQ(aggregate.samples, 1);
  EXPECT_TRUE(aggregate.lost.empty());
}

TEST(CaptureBuffer, MayBeFinishedTwiceWithOtherFields) {
  CaptureBuffer buffer({0});
  for (int32_t tid : {7, 8, 9}) {
    Sample sample = SampleAt(1, 7, {FileFrame(2, 1)});
    sample.tid = tid;
    buffer.Append(sample);
  }
  EXPECT_EQ(buffer.Finish({10}, {}, 0).rows.size(), 1u);
  EXPECT_EQ(buffer.Finish({10}, {.tid = true}, 0).rows.size(), 3u);
  EXPECT_EQ(buffer.Finish({10}, {.tid = true}, 8).samples, 1);
}

TEST(CaptureBuffer, LeavesOutWhatCameWhenItWasOver) {
  CaptureBuffer buffer({kSecond});
  buffer.Append(SampleAt(2 * kSecond, 7, {FileFrame(2, 1)}));
  buffer.Append(SampleAt(5 * kSecond, 7, {FileFrame(2, 1)}));
  buffer.NoteLost(PPROFD_REASON_RING_FULL, 3, {4 * kSecond});
  Aggregate aggregate = buffer.Finish({4 * kSecond}, {}, 0);
  EXPECT_EQ(aggregate.samples, 1);
  EXPECT_EQ(aggregate.lost[PPROFD_REASON_RING_FULL], 3);
}

TEST(CaptureBuffer, ShowsWhatItCouldNotHold) {
  CaptureBuffer buffer({0}, 64 << 10);
  constexpr int64_t kSamples = 20000;
  for (int64_t i = 0; i < kSamples; ++i) {
    buffer.Append(SampleAt(i * 1000, 7, {FileFrame(2, 1)}));
  }
  Aggregate aggregate = buffer.Finish({kSecond}, {}, 0);
  EXPECT_GT(aggregate.samples, 1000);
  EXPECT_GT(buffer.samples_lost(), 0);
  EXPECT_EQ(aggregate.samples + aggregate.lost[PPROFD_REASON_CAPTURE_FULL],
            kSamples);
}

}  // namespace
}  // namespace pprofd
