#include "daemon/base/unique_handle.h"

#include <gtest/gtest.h>

#include <vector>

namespace pprofd {
namespace {

std::vector<int>& Released() {
  static std::vector<int> released;
  return released;
}

struct NumberTraits {
  using Value = int;
  static int Null() { return -1; }
  static void Release(int value) { Released().push_back(value); }
};
using Number = UniqueHandle<NumberTraits>;

class UniqueHandleTest : public testing::Test {
 protected:
  void SetUp() override { Released().clear(); }
};

TEST_F(UniqueHandleTest, ReleasesOnceAtTheEndOfItsLife) {
  {
    Number number(7);
  }
  EXPECT_EQ(Released(), std::vector<int>{7});
}

TEST_F(UniqueHandleTest, MovesOwnershipWithoutReleasing) {
  Number first(7);
  Number second(std::move(first));
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): what is tested
  EXPECT_EQ(second.get(), 7);
  EXPECT_TRUE(Released().empty());
}

TEST_F(UniqueHandleTest, ReleasesWhatAnAssignmentReplaces) {
  Number first(7);
  first = Number(8);
  EXPECT_EQ(Released(), std::vector<int>{7});
  Number& same = first;
  first = std::move(same);
  EXPECT_EQ(first.get(), 8);
}

TEST_F(UniqueHandleTest, GivesUpWhatIsTaken) {
  Number number(7);
  EXPECT_EQ(number.Take(), 7);
  EXPECT_FALSE(number);
  number.Reset();
  EXPECT_TRUE(Released().empty());
}

}  // namespace
}  // namespace pprofd
