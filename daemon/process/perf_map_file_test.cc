#include "daemon/process/perf_map_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "daemon/process/temp_proc.h"

namespace pprofd {
namespace {

constexpr ProcessKey kProcess{40, 1};

// A process whose root is a folder of its own and who calls itself 3 there.
class PerfMapFileTest : public testing::Test {
 protected:
  PerfMapFileTest() {
    proc_.AddProcess(kProcess, "jit", "/bin/jit");
    proc_.Write("40/status", "Name:\tjit\nUid:\t" + Own() + "\t" + Own() +
                                 "\t" + Own() + "\t" + Own() +
                                 "\nNStgid:\t40\t3\n");
    proc_.Write("container/tmp/other", "");
    proc_.Link("40/root", proc_.Path("container"));
  }

  static std::string Own() { return std::to_string(getuid()); }
  std::string MapPath() const { return proc_.Path("container/tmp/perf-3.map"); }

  TempProc proc_;
};

TEST_F(PerfMapFileTest, FindsTheFileByThePidThatTheProcessKnows) {
  proc_.Write("container/tmp/perf-3.map", "1000 10 f\n");
  Result<UniqueFd> file = OpenPerfMapFile(kProcess, proc_.root());
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  char text[16] = {};
  EXPECT_EQ(read(file->get(), text, sizeof(text)), 10);
  EXPECT_STREQ(text, "1000 10 f\n");
}

TEST_F(PerfMapFileTest, TellsThatThereIsNone) {
  EXPECT_EQ(OpenPerfMapFile(kProcess, proc_.root()).status().code(),
            StatusCode::kNotFound);
}

TEST_F(PerfMapFileTest, TellsThatTheProcessIsGone) {
  proc_.Write("container/tmp/perf-3.map", "1000 10 f\n");
  ProcessKey successor{kProcess.pid, kProcess.start_ticks + 1};
  EXPECT_EQ(OpenPerfMapFile(successor, proc_.root()).status().code(),
            StatusCode::kGone);
}

TEST_F(PerfMapFileTest, DoesNotBelieveAnotherUsersFile) {
  if (getuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  proc_.Write("container/tmp/perf-3.map", "1000 10 f\n");
  ASSERT_EQ(chown(MapPath().c_str(), 12345, 12345), 0);
  EXPECT_EQ(OpenPerfMapFile(kProcess, proc_.root()).status().code(),
            StatusCode::kDenied);
}

TEST_F(PerfMapFileTest, OpensNoFifo) {
  ASSERT_EQ(mkfifo(MapPath().c_str(), 0600), 0);
  EXPECT_FALSE(OpenPerfMapFile(kProcess, proc_.root()).ok());
}

TEST_F(PerfMapFileTest, FollowsNoLinkOutOfTheRoot) {
  proc_.Write("outside.map", "1000 10 secret\n");
  proc_.Link("container/tmp/perf-3.map", proc_.Path("outside.map"));
  EXPECT_FALSE(OpenPerfMapFile(kProcess, proc_.root()).ok());
}

}  // namespace
}  // namespace pprofd
