#include "daemon/base/bounded_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace pprofd {
namespace {

constexpr std::chrono::milliseconds kNoWait{0};
constexpr std::chrono::milliseconds kLong{10'000};

TEST(BoundedQueue, LeavesTheItemWithTheCallerWhenFull) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  EXPECT_TRUE(queue.TryPush(std::make_unique<int>(1)));
  auto second = std::make_unique<int>(2);
  EXPECT_FALSE(queue.TryPush(std::move(second)));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(*second, 2);
}

TEST(BoundedQueue, KeepsOrderAcrossThreads) {
  BoundedQueue<int> queue(1000);
  std::thread writer([&] {
    for (int i = 0; i < 1000; ++i) {
      while (!queue.TryPush(int(i))) std::this_thread::yield();
    }
  });
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(queue.PopFor(kLong), i);
  writer.join();
}

TEST(BoundedQueue, GivesOutWhatIsInsideAfterClosing) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.TryPush(1));
  queue.Close();
  EXPECT_FALSE(queue.TryPush(2));
  EXPECT_EQ(queue.PopFor(kLong), 1);
  EXPECT_EQ(queue.PopFor(kLong), std::nullopt);
}

TEST(BoundedQueue, ComesBackEmptyHandedAtTheTimeout) {
  BoundedQueue<int> queue(1);
  EXPECT_EQ(queue.PopFor(kNoWait), std::nullopt);
}

}  // namespace
}  // namespace pprofd
