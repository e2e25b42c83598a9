#include "daemon/server/recent_pids.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

TEST(RecentPids, RemembersTheLastPidOfEachClientForAMinute) {
  RecentPids pids;
  pids.Remember("a", 1, {0});
  pids.Remember("b", 2, {0});
  pids.Remember("a", 3, {5});
  EXPECT_EQ(pids.Recall("a", {RecentPids::kMaxAgeNs + 5}), 3);
  EXPECT_EQ(pids.Recall("a", {RecentPids::kMaxAgeNs + 6}), std::nullopt);
  EXPECT_EQ(pids.Recall("b", {1}), 2);
  EXPECT_EQ(pids.Recall("c", {1}), std::nullopt);
}

TEST(RecentPids, ForgetsTheOldestClientWhenFull) {
  RecentPids pids;
  for (size_t i = 0; i < RecentPids::kMaxClients; ++i) {
    pids.Remember("client" + std::to_string(i), 1, {0});
  }
  pids.Remember("client0", 2, {1});
  pids.Remember("new", 3, {1});
  EXPECT_EQ(pids.Recall("client0", {1}), 2);
  EXPECT_EQ(pids.Recall("client1", {1}), std::nullopt);
  EXPECT_EQ(pids.Recall("client2", {1}), 1);
  EXPECT_EQ(pids.Recall("new", {1}), 3);
}

}  // namespace
}  // namespace pprofd
