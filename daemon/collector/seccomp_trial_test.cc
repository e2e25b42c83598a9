#include "daemon/collector/seccomp_trial.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace pprofd {
namespace {

constexpr long kReturnProbeCall = 335;  // NOLINT(google-runtime-int)

TEST(SeccompTrial, SurvivesWhenNothingHappens) {
  Result<SeccompTrial> trial = SeccompTrial::Start([](uint64_t) {});
  ASSERT_TRUE(trial.ok()) << trial.status().message();
  EXPECT_EQ(kill(trial->pid(), 0), 0);
  EXPECT_TRUE(trial->Survives());
  EXPECT_EQ(trial->pid(), -1);
}

TEST(SeccompTrial, DoesNotSurviveASignal) {
  Result<SeccompTrial> trial =
      SeccompTrial::Start([](uint64_t) { __builtin_trap(); });
  ASSERT_TRUE(trial.ok()) << trial.status().message();
  EXPECT_FALSE(trial->Survives());
}

// Where the kernel lets the call pass, it kills who makes it by himself.
TEST(SeccompTrial, DoesNotSurviveTheCallThatIsFiltered) {
  Result<SeccompTrial> trial =
      SeccompTrial::Start([](uint64_t) { syscall(kReturnProbeCall); });
  ASSERT_TRUE(trial.ok()) << trial.status().message();
  EXPECT_FALSE(trial->Survives());
}

TEST(SeccompTrial, EndsWithItsOwner) {
  pid_t pid = -1;
  {
    Result<SeccompTrial> trial = SeccompTrial::Start([](uint64_t) {});
    ASSERT_TRUE(trial.ok()) << trial.status().message();
    pid = trial->pid();
  }
  EXPECT_EQ(kill(pid, 0), -1);
}

}  // namespace
}  // namespace pprofd
