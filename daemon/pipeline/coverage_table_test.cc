#include "daemon/pipeline/coverage_table.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

Sample SampleOf(ProcessKey process, UnwindResult result, uint32_t reason = 0) {
  Sample sample;
  sample.process = process;
  sample.value = 1000;
  sample.result = result;
  sample.reason = reason;
  return sample;
}

TEST(CoverageTable, AddsUpTimeAndHowStacksEnded) {
  CoverageTable table;
  table.SetBaseline({7, 1}, 500);
  table.OnSample(SampleOf({7, 1}, UnwindResult::kComplete));
  table.OnSample(SampleOf({7, 1}, UnwindResult::kMixed));
  table.OnSample(
      SampleOf({7, 1}, UnwindResult::kTruncated, PPROFD_REASON_NO_ROWS));
  auto coverage = table.Find({7, 1});
  ASSERT_TRUE(coverage.has_value());
  EXPECT_EQ(coverage->baseline_ns, 500);
  EXPECT_EQ(coverage->sampled_ns, 3000);
  EXPECT_EQ(coverage->complete, 1u);
  EXPECT_EQ(coverage->mixed, 1u);
  EXPECT_EQ(coverage->truncated, 1u);
  EXPECT_EQ(coverage->reasons.at(PPROFD_REASON_NO_ROWS), 1u);
}

TEST(CoverageTable, StopsGrowingAtItsBound) {
  CoverageTable table(1);
  table.OnSample(SampleOf({7, 1}, UnwindResult::kComplete));
  table.OnSample(SampleOf({8, 1}, UnwindResult::kComplete));
  EXPECT_TRUE(table.Find({7, 1}).has_value());
  EXPECT_FALSE(table.Find({8, 1}).has_value());
}

TEST(CoverageTable, ForgetsWhatIsNotRetained) {
  CoverageTable table;
  table.OnSample(SampleOf({7, 1}, UnwindResult::kComplete));
  table.OnSample(SampleOf({8, 1}, UnwindResult::kComplete));
  table.Retain([](const ProcessKey& key) { return key.pid == 8; });
  EXPECT_FALSE(table.Find({7, 1}).has_value());
  EXPECT_TRUE(table.Find({8, 1}).has_value());
}

}  // namespace
}  // namespace pprofd
