#include "daemon/aggregate/stack_table.h"

#include <gtest/gtest.h>

#include "daemon/aggregate/sample_for_test.h"

namespace pprofd {
namespace {

std::vector<Frame> Deep(size_t depth, uint64_t leaf) {
  std::vector<Frame> stack{FileFrame(2, leaf, false)};
  for (size_t i = 1; i < depth; ++i) stack.push_back(FileFrame(3, i));
  return stack;
}

TEST(StackTable, GivesEqualStacksOneNumber) {
  StackTable table(1 << 20);
  auto first = table.Intern(Deep(30, 7));
  auto other = table.Intern(Deep(30, 8));
  auto again = table.Intern(Deep(30, 7));
  ASSERT_TRUE(first && other && again);
  EXPECT_EQ(*first, *again);
  EXPECT_NE(*first, *other);
}

TEST(StackTable, SharesTheNodesOfCommonCallers) {
  StackTable table(1 << 20);
  ASSERT_TRUE(table.Intern(Deep(30, 7)));
  ASSERT_TRUE(table.Intern(Deep(30, 8)));
  EXPECT_EQ(table.size(), 31u);
}

TEST(StackTable, YieldsFramesLeafFirstAfterGrowthAndSeal) {
  StackTable table(1 << 20);
  std::vector<uint32_t> numbers;
  for (uint64_t i = 0; i < 5000; ++i) {
    numbers.push_back(table.Intern(Deep(1 + i % 40, i)).value());
  }
  table.Seal();
  for (uint64_t i = 0; i < 5000; ++i) {
    ASSERT_EQ(table.Frames(numbers[i]), Deep(1 + i % 40, i));
  }
}

TEST(StackTable, NamesTheEmptyStack) {
  StackTable table(1 << 20);
  EXPECT_EQ(table.Intern({}), StackTable::kEmpty);
  EXPECT_TRUE(table.Frames(StackTable::kEmpty).empty());
}

TEST(StackTable, StaysBelowItsBoundAndStillKnowsOldStacks) {
  StackTable table(64 << 10);
  uint64_t leaf = 0;
  while (table.Intern(Deep(20, leaf))) ++leaf;
  EXPECT_GT(leaf, 1000u);
  EXPECT_LE(table.bytes(), 64u << 10);
  EXPECT_TRUE(table.Intern(Deep(20, 3)));
}

TEST(StackTable, NeedsTwelveBytesANodeOnceSealed) {
  StackTable table(1 << 20);
  for (uint64_t i = 0; i < 1000; ++i) ASSERT_TRUE(table.Intern(Deep(5, i)));
  table.Seal();
  EXPECT_EQ(table.bytes(), table.size() * 12);
}

}  // namespace
}  // namespace pprofd
