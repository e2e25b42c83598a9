#include "daemon/unwind/row_list.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

RowList Rows(std::vector<UnwindRow> rows) {
  RowList list;
  for (const UnwindRow& row : rows) list.Append(row.file_offset, row.rule);
  return list;
}

using RowVector = std::vector<UnwindRow>;

TEST(RowList, EqualRulesAreOneRow) {
  EXPECT_EQ(Rows({{10, 1}, {20, 1}, {30, 0}}).rows(),
            (RowVector{{10, 1}, {30, 0}}));
}

TEST(RowList, LaterRuleWinsAtOneAddress) {
  EXPECT_EQ(Rows({{10, 1}, {20, 2}, {20, 1}, {30, 0}}).rows(),
            (RowVector{{10, 1}, {30, 0}}));
  EXPECT_EQ(Rows({{10, 1}, {10, 2}, {5, 3}}).rows(), (RowVector{{10, 3}}));
  EXPECT_TRUE(Rows({{10, 1}, {10, 0}}).rows().empty());
}

TEST(RowList, FillerShowsOnlyInGaps) {
  RowList list = Rows({{10, 1}, {20, 0}, {40, 2}, {50, 0}});
  list.FillFrom(Rows({{5, 3}, {15, 4}, {25, 5}, {45, 6}, {60, 0}}));
  EXPECT_EQ(list.rows(),
            (RowVector{
                {5, 3}, {10, 1}, {20, 4}, {25, 5}, {40, 2}, {50, 6}, {60, 0}}));
}

TEST(RowList, FillingAnEmptyListCopies) {
  RowList list;
  list.FillFrom(Rows({{5, 3}, {15, 0}}));
  EXPECT_EQ(list.rows(), (RowVector{{5, 3}, {15, 0}}));
}

TEST(RowList, GapsAreCutToTheRange) {
  RowList list = Rows({{10, 1}, {20, 0}, {40, 2}, {50, 0}});
  std::vector<FileRange> gaps = list.Gaps({0, 100});
  ASSERT_EQ(gaps.size(), 3u);
  EXPECT_EQ(gaps[0].limit, 10u);
  EXPECT_EQ(gaps[1].start, 20u);
  EXPECT_EQ(gaps[1].limit, 40u);
  EXPECT_EQ(gaps[2].start, 50u);
  EXPECT_EQ(gaps[2].limit, 100u);
  EXPECT_EQ(list.Gaps({12, 18}).size(), 0u);
  ASSERT_EQ(list.Gaps({25, 30}).size(), 1u);
  EXPECT_EQ(list.Gaps({25, 30})[0].start, 25u);
}

TEST(RowList, GapThatHoldsTheEntryStaysOpen) {
  RowList list = Rows({{10, 1}, {20, 0}, {30, 2}, {40, 0}, {50, 3}, {60, 0}});
  list.BridgeGaps(45);
  EXPECT_EQ(list.rows(),
            (RowVector{{10, 1}, {30, 2}, {40, 0}, {50, 3}, {60, 0}}));
}

}  // namespace
}  // namespace pprofd
