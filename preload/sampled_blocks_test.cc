#include "preload/sampled_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

namespace pprofd {
namespace {

void* Block(uint64_t number) {
  return reinterpret_cast<void*>(0x7f0000000000 + number * 16);
}

TEST(SampledBlocks, KnowsABlockUntilItIsRemoved) {
  ASSERT_TRUE(sampled_blocks_add(Block(1)));
  EXPECT_TRUE(sampled_blocks_may_have(Block(1)));
  EXPECT_TRUE(sampled_blocks_remove(Block(1)));
  EXPECT_FALSE(sampled_blocks_remove(Block(1)));
  EXPECT_FALSE(sampled_blocks_may_have(Block(1)));
}

TEST(SampledBlocks, DoesNotTakeOthersForKnown) {
  for (uint64_t i = 0; i < 4000; ++i) {
    ASSERT_TRUE(sampled_blocks_add(Block(i * 32768)));
  }
  int passed = 0;
  for (uint64_t i = 0; i < 100'000; ++i) {
    passed += sampled_blocks_may_have(Block(i * 8 + 3));
    EXPECT_FALSE(sampled_blocks_remove(Block(i * 8 + 3)));
  }
  // 4,000 counters of 131,072 are taken.
  EXPECT_LT(passed, 100'000 * 4000 / 131'072 * 2);
  for (uint64_t i = 0; i < 4000; ++i) {
    EXPECT_TRUE(sampled_blocks_remove(Block(i * 32768)));
  }
}

TEST(SampledBlocks, NullIsNoBlock) {
  EXPECT_FALSE(sampled_blocks_remove(nullptr));
}

// Freed by a function that nobody stands in front of.
TEST(SampledBlocks, ABlockHandedOutAgainIsThereOnce) {
  ASSERT_TRUE(sampled_blocks_add(Block(7)));
  ASSERT_TRUE(sampled_blocks_add(Block(7)));
  EXPECT_TRUE(sampled_blocks_remove(Block(7)));
  EXPECT_FALSE(sampled_blocks_remove(Block(7)));
  EXPECT_FALSE(sampled_blocks_may_have(Block(7)));
}

TEST(SampledBlocks, HoldsMostOfItsCapacityAndThenSaysNo) {
  std::vector<uint64_t> held;
  for (uint64_t i = 0; i < 2 * SAMPLED_BLOCKS_CAPACITY; ++i) {
    if (sampled_blocks_add(Block(i * 5))) held.push_back(i * 5);
  }
  EXPECT_GT(held.size(), SAMPLED_BLOCKS_CAPACITY * 3 / 4);
  EXPECT_LE(held.size(), SAMPLED_BLOCKS_CAPACITY);
  for (uint64_t number : held) {
    ASSERT_TRUE(sampled_blocks_remove(Block(number)));
  }
}

TEST(SampledBlocks, ThreadsAddAndRemoveAtOnce) {
  std::vector<std::thread> threads;
  std::vector<int> mistakes(4);
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t round = 0; round < 200; ++round) {
        for (uint64_t i = 0; i < 100; ++i) {
          mistakes[t] += !sampled_blocks_add(Block(i * 4 + t));
        }
        for (uint64_t i = 0; i < 100; ++i) {
          mistakes[t] += !sampled_blocks_remove(Block(i * 4 + t));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(mistakes, std::vector<int>(4));
  for (uint64_t i = 0; i < 400; ++i) {
    EXPECT_FALSE(sampled_blocks_may_have(Block(i)));
  }
}

}  // namespace
}  // namespace pprofd
