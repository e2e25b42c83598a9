#include "daemon/symbolizer_client/newest_first_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace pprofd {
namespace {

constexpr auto kNever = std::chrono::steady_clock::time_point::max();

std::chrono::steady_clock::time_point Soon() {
  return std::chrono::steady_clock::now() + std::chrono::seconds(60);
}

TEST(NewestFirstGate, LetsOneInAtATime) {
  NewestFirstGate gate;
  ASSERT_TRUE(gate.Enter(kNever));
  EXPECT_FALSE(gate.Enter(std::chrono::steady_clock::now()));
  gate.Leave();
  EXPECT_TRUE(gate.Enter(std::chrono::steady_clock::now()));
}

// Makes `count` threads wait, one after the other, and returns the order in
// which they got in.
std::vector<int> OrderOfWaiters(NewestFirstGate& gate, size_t count) {
  std::vector<int> order;
  std::atomic<size_t> turned_away{0};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      if (!gate.Enter(Soon())) {
        ++turned_away;
        return;
      }
      order.push_back(static_cast<int>(i));  // one at a time
      gate.Leave();
    });
    while (gate.waiting() + turned_away != i + 1) std::this_thread::yield();
  }
  gate.Leave();
  for (std::thread& thread : threads) thread.join();
  return order;
}

TEST(NewestFirstGate, LetsTheNewestInFirst) {
  NewestFirstGate gate;
  ASSERT_TRUE(gate.Enter(kNever));
  EXPECT_EQ(OrderOfWaiters(gate, 3), (std::vector<int>{2, 1, 0}));
}

TEST(NewestFirstGate, TurnsTheOldestAwayWhenFull) {
  NewestFirstGate gate;
  ASSERT_TRUE(gate.Enter(kNever));
  std::vector<int> order =
      OrderOfWaiters(gate, NewestFirstGate::kMaxWaiting + 1);
  EXPECT_EQ(order.size(), NewestFirstGate::kMaxWaiting);
  EXPECT_EQ(order.back(), 1) << "0 waited longest";
}

}  // namespace
}  // namespace pprofd
