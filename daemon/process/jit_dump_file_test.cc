#include "daemon/process/jit_dump_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "daemon/process/temp_proc.h"

namespace pprofd {
namespace {

constexpr ProcessKey kProcess{40, 1};

std::string MapsLine(std::string_view path, std::string_view start = "7000") {
  std::string limit(start);
  limit[limit.size() - 4] = '8';
  return std::string(start) + "-" + limit + " r-xp 00000000 08:01 9    " +
         std::string(path) + "\n";
}

// A process whose root is a folder of its own and who calls itself 3 there.
class JitDumpFileTest : public testing::Test {
 protected:
  void AddProcess(const std::string& maps) {
    proc_.AddProcess(kProcess, "jit", "/bin/jit", maps);
    std::string own = std::to_string(getuid());
    proc_.Write("40/status", "Name:\tjit\nUid:\t" + own + "\t" + own + "\t" +
                                 own + "\t" + own + "\nNStgid:\t40\t3\n");
    proc_.Write("container/srv/other", "");
    proc_.Link("40/root", proc_.Path("container"));
  }
  // What the file found begins with.
  std::string Read() {
    Result<JitDumpFile> found = OpenJitDumpFile(kProcess, proc_.root());
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    if (!found.ok()) return "";
    path_ = found->path;
    char text[16] = {};
    EXPECT_GE(read(found->file.get(), text, sizeof(text) - 1), 0);
    return text;
  }
  StatusCode Code() {
    return OpenJitDumpFile(kProcess, proc_.root()).status().code();
  }

  TempProc proc_;
  std::string path_;
};

TEST_F(JitDumpFileTest, OpensTheMappedFileItself) {
  AddProcess(MapsLine("/gone/jit-3.dump (deleted)"));
  proc_.Write("elsewhere", "mapped");
  proc_.Link("40/map_files/7000-8000", proc_.Path("elsewhere"));
  EXPECT_EQ(Read(), "mapped");
  EXPECT_EQ(path_, "/gone/jit-3.dump");
}

TEST_F(JitDumpFileTest, OrLooksForItInTheRootOfTheProcess) {
  AddProcess(MapsLine("/srv/jit-3.dump"));
  proc_.Write("container/srv/jit-3.dump", "by path");
  EXPECT_EQ(Read(), "by path");
  EXPECT_EQ(path_, "/srv/jit-3.dump");
}

TEST_F(JitDumpFileTest, PrefersItsOwnToItsParents) {
  AddProcess(MapsLine("/srv/jit-2.dump", "5000") +
             MapsLine("/srv/jit-3.dump", "6000") +
             MapsLine("/srv/jit-9.dump", "7000"));
  proc_.Write("container/srv/jit-3.dump", "own");
  EXPECT_EQ(Read(), "own");
}

TEST_F(JitDumpFileTest, TakesAForeignPidIfThereIsNoOther) {
  AddProcess(MapsLine("/srv/jit-77.dump"));
  proc_.Write("container/srv/jit-77.dump", "other");
  EXPECT_EQ(Read(), "other");
}

TEST_F(JitDumpFileTest, KnowsNoOtherNames) {
  for (const char* path :
       {"/srv/jit-.dump", "/srv/jit-3x.dump", "/srv/jit-3.dump.gz",
        "/srv/xjit-3.dump", "/srv/jit--3.dump", "/srv/jit-99999999999.dump",
        "/srv/jit-3.dump/lib.so", "/jit-.dump"}) {
    AddProcess(MapsLine(path));
    EXPECT_EQ(Code(), StatusCode::kNotFound) << path;
    proc_.RemoveProcess(kProcess.pid);
  }
}

TEST_F(JitDumpFileTest, DoesNotBelieveAnotherUsersFile) {
  if (getuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  AddProcess(MapsLine("/srv/jit-3.dump"));
  proc_.Write("container/srv/jit-3.dump", "x");
  ASSERT_EQ(chown(proc_.Path("container/srv/jit-3.dump").c_str(), 12345, 12345),
            0);
  EXPECT_EQ(Code(), StatusCode::kDenied);
}

TEST_F(JitDumpFileTest, OpensNoFifo) {
  AddProcess(MapsLine("/srv/jit-3.dump"));
  ASSERT_EQ(mkfifo(proc_.Path("container/srv/jit-3.dump").c_str(), 0600), 0);
  EXPECT_EQ(Code(), StatusCode::kInvalid);
}

TEST_F(JitDumpFileTest, FollowsNoLinkOutOfTheRoot) {
  AddProcess(MapsLine("/srv/jit-3.dump"));
  proc_.Write("outside.dump", "secret");
  proc_.Link("container/srv/jit-3.dump", proc_.Path("outside.dump"));
  EXPECT_EQ(Code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace pprofd
