#include "daemon/pipeline/heap_budget.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(HeapBudget, LetsABurstPassThatSavedTimePaysFor) {
  HeapBudget budget(0.01);
  EXPECT_TRUE(budget.Book(milliseconds(100), milliseconds(100)));
  EXPECT_TRUE(budget.Book(milliseconds(100), milliseconds(100)));
  EXPECT_TRUE(budget.Book(milliseconds(100), milliseconds(100)));
  EXPECT_FALSE(budget.Book(milliseconds(100), milliseconds(100)));
}

TEST(HeapBudget, HoldsForEverBelowItsRate) {
  HeapBudget budget(0.01);
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(budget.Book(seconds(1), milliseconds(10))) << i;
  }
}

TEST(HeapBudget, SpacesWindowsSoThatTheyArePaidFor) {
  HeapBudget budget(0.01);
  EXPECT_EQ(budget.GapAfter(milliseconds(100), milliseconds(100)),
            milliseconds(9900));
  EXPECT_EQ(budget.GapAfter(milliseconds(100), milliseconds(0)),
            HeapBudget::kMinGap);
  EXPECT_EQ(budget.GapAfter(milliseconds(100), seconds(100)),
            HeapBudget::kMaxGap);
}

TEST(HeapBudget, GoesBackOnlyWithRoomForTheFrees) {
  HeapBudget budget(0.01);
  EXPECT_TRUE(
      budget.Affords(milliseconds(100), std::chrono::microseconds(250)));
  EXPECT_FALSE(
      budget.Affords(milliseconds(100), std::chrono::microseconds(251)));
}

}  // namespace
}  // namespace pprofd
