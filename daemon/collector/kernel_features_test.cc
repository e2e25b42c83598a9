#include "daemon/collector/kernel_features.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

TEST(KernelVersion, ReadsReleaseOfAnyDistribution) {
  EXPECT_EQ(ParseKernelVersion("6.18.44-fc-v657", "#1 SMP"),
            (KernelVersion{6, 18, 44}));
  EXPECT_EQ(ParseKernelVersion("5.15.0-generic", ""),
            (KernelVersion{5, 15, 0}));
}

TEST(KernelVersion, PrefersThePatchLevelOfDebian) {
  EXPECT_EQ(ParseKernelVersion("6.1.0-49-amd64",
                               "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (x)"),
            (KernelVersion{6, 1, 192}));
}

TEST(KernelVersion, IsZeroForNonsense) {
  EXPECT_EQ(ParseKernelVersion("nonsense", ""), (KernelVersion{0, 0, 0}));
}

TEST(UserReads, MayDeadlockOnlyBetweenTheBugAndItsFix) {
  EXPECT_FALSE(UserReadsMayDeadlock({5, 10, 262}));
  EXPECT_FALSE(UserReadsMayDeadlock({5, 18, 1}));
  EXPECT_TRUE(UserReadsMayDeadlock({5, 19, 7}));
  EXPECT_TRUE(UserReadsMayDeadlock({6, 1, 35}));
  EXPECT_FALSE(UserReadsMayDeadlock({6, 1, 36}));
  EXPECT_TRUE(UserReadsMayDeadlock({6, 2, 16}));
  EXPECT_TRUE(UserReadsMayDeadlock({6, 3, 9}));
  EXPECT_FALSE(UserReadsMayDeadlock({6, 3, 10}));
  EXPECT_FALSE(UserReadsMayDeadlock({6, 4, 0}));
}

}  // namespace
}  // namespace pprofd
