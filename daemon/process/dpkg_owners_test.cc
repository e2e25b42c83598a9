#include "daemon/process/dpkg_owners.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "daemon/base/unique_handle.h"
#include "daemon/process/temp_proc.h"

namespace pprofd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class DpkgOwnersTest : public testing::Test {
 protected:
  void AddList(const std::string& name, std::string_view text) const {
    root_.Write("var/lib/dpkg/info/" + name, text);
  }
  DpkgOwners Find(const std::set<std::string>& paths,
                  const DpkgLimits& limits = {}) const {
    UniqueFd fd(open(root_.root().c_str(), O_PATH | O_DIRECTORY));
    return FindDpkgOwners(fd.get(), paths, limits);
  }

  TempProc root_;
};

TEST_F(DpkgOwnersTest, FindsThePackageOfAFile) {
  AddList("libfoo1:amd64.list", "/.\n/usr\n/usr/lib/libfoo.so.1\n");
  AddList("bar.list", "/usr/bin/bar\n/usr/bin/bar2");
  AddList("bar.md5sums", "/usr/lib/none\n");
  DpkgOwners owners =
      Find({"/usr/lib/libfoo.so.1", "/usr/bin/bar2", "/opt/own"});
  EXPECT_THAT(owners.packages,
              ElementsAre(Pair("/usr/bin/bar2", "bar"),
                          Pair("/usr/lib/libfoo.so.1", "libfoo1")));
  EXPECT_TRUE(owners.is_complete) << owners.problem;
}

TEST_F(DpkgOwnersTest, FindsWhatAnUnmergedPackageHasInLib) {
  AddList("libc6:amd64.list", "/lib/x86_64-linux-gnu/libc.so.6\n");
  EXPECT_THAT(
      Find({"/usr/lib/x86_64-linux-gnu/libc.so.6"}).packages,
      ElementsAre(Pair("/usr/lib/x86_64-linux-gnu/libc.so.6", "libc6")));
}

TEST_F(DpkgOwnersTest, TellsWhichDebugPackagesAreInstalled) {
  AddList("libc6-dbg:amd64.list", "/usr/lib/debug\n");
  AddList("bash-dbgsym.list", "/usr/lib/debug\n");
  AddList("dbgview.list", "\n");
  EXPECT_THAT(Find({"/x"}).debug_packages,
              ElementsAre("bash-dbgsym", "libc6-dbg"));
}

TEST_F(DpkgOwnersTest, BelievesOnlyNamesThatPackagesCanHave) {
  EXPECT_EQ(PackageOfList("libstdc++6:amd64.list"), "libstdc++6");
  for (const char* name :
       {"x; rm -rf ~.list", "$(id).list", "-rf.list", "Big.list", ".list",
        "a.list", "ab", "ab:amd 64.list", "ab\n.list", "a'b.list"}) {
    EXPECT_EQ(PackageOfList(name), "") << name;
  }
  EXPECT_EQ(PackageOfList(std::string(4000, 'a') + ".list"), "");
}

TEST_F(DpkgOwnersTest, DoesNotFollowListsOutOfTheRootNorWaitForFifos) {
  TempProc outside;
  std::string list = outside.Write("evil.list", "/usr/bin/x\n");
  AddList("aa.list", "/usr/bin/y\n");
  root_.Link("var/lib/dpkg/info/evil.list", list);
  ASSERT_EQ(mkfifo(root_.Path("var/lib/dpkg/info/fifo.list").c_str(), 0600), 0);
  DpkgOwners owners = Find({"/usr/bin/x"});
  EXPECT_THAT(owners.packages, IsEmpty());
  EXPECT_FALSE(owners.is_complete);
  EXPECT_NE(owners.problem, "");
}

TEST_F(DpkgOwnersTest, StopsAtItsBounds) {
  for (char c = 'a'; c <= 'f'; ++c) {
    AddList(std::string("pkg-") + c + ".list", std::string(1000, 'x'));
  }
  AddList("zz.list", "/usr/bin/z\n");
  EXPECT_FALSE(Find({"/usr/bin/z"}, {.max_lists = 3}).is_complete);
  DpkgOwners by_bytes = Find({"/usr/bin/z"}, {.max_total_bytes = 1500});
  EXPECT_FALSE(by_bytes.is_complete);
  EXPECT_THAT(by_bytes.packages, IsEmpty());
  EXPECT_FALSE(Find({"/usr/bin/z"}, {.deadline = {}}).is_complete);
  EXPECT_TRUE(Find({"/usr/bin/z"}).is_complete);
}

TEST_F(DpkgOwnersTest, SaysWhenThereIsNoDatabase) {
  DpkgOwners owners = Find({"/usr/bin/x"});
  EXPECT_THAT(owners.packages, IsEmpty());
  EXPECT_FALSE(owners.is_complete);
  EXPECT_NE(owners.problem, "");
  root_.Write("var/lib/dpkg/info", "a file");
  EXPECT_FALSE(Find({"/usr/bin/x"}).is_complete);
}

}  // namespace
}  // namespace pprofd
