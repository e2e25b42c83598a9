#include "symbolizer/range_map.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

TEST(RangeMap, FindsTheDeepestRange) {
  RangeMap map({{.start = 10, .end = 100, .priority = 0, .value = 1},
                {.start = 20, .end = 60, .priority = 1, .value = 2},
                {.start = 30, .end = 40, .priority = 2, .value = 3}});
  EXPECT_EQ(map.Find(9), std::nullopt);
  EXPECT_EQ(map.Find(10), 1u);
  EXPECT_EQ(map.Find(20), 2u);
  EXPECT_EQ(map.Find(39), 3u);
  EXPECT_EQ(map.Find(40), 2u);
  EXPECT_EQ(map.Find(60), 1u);
  EXPECT_EQ(map.Find(100), std::nullopt);
}

TEST(RangeMap, KeepsGapsAndDropsEmptyRanges) {
  RangeMap map({{.start = 50, .end = 60, .priority = 0, .value = 2},
                {.start = 10, .end = 20, .priority = 0, .value = 1},
                {.start = 70, .end = 70, .priority = 0, .value = 3},
                {.start = 90, .end = 80, .priority = 0, .value = 4}});
  EXPECT_EQ(map.Find(15), 1u);
  EXPECT_EQ(map.Find(20), std::nullopt);
  EXPECT_EQ(map.Find(50), 2u);
  EXPECT_EQ(map.Find(70), std::nullopt);
  EXPECT_EQ(map.Find(85), std::nullopt);
  EXPECT_EQ(map.Segments().size(), 2u);
}

TEST(RangeMap, PrefersPriorityWhereRangesCross) {
  RangeMap map({{.start = 10, .end = 30, .priority = 5, .value = 1},
                {.start = 20, .end = 40, .priority = 4, .value = 2}});
  EXPECT_EQ(map.Find(25), 1u);
  EXPECT_EQ(map.Find(35), 2u);
}

TEST(RangeMap, ReachesTheEndOfTheAddressSpace) {
  RangeMap map({{.start = 1, .end = UINT64_MAX, .priority = 0, .value = 7}});
  EXPECT_EQ(map.Find(UINT64_MAX - 1), 7u);
  EXPECT_EQ(map.Find(UINT64_MAX), std::nullopt);
  EXPECT_EQ(RangeMap().Find(0), std::nullopt);
}

}  // namespace
}  // namespace pprofd
