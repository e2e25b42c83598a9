#include "daemon/process/mount_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pprofd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kText[] =
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "30 22 8:1 / /home rw - ext4 /dev/sda1 rw\n"
    "31 22 8:1 /user/data /mnt/my\\040data rw - ext4 /dev/sda1 rw\n"
    "broken line\n";

TEST(PathsOnHost, FollowsTheRootFileSystem) {
  EXPECT_THAT(PathsOnHost(kText, 254, 0, "/usr/bin/x"),
              ElementsAre("/usr/bin/x"));
}

TEST(PathsOnHost, NamesEveryMountThatShowsTheFile) {
  EXPECT_THAT(PathsOnHost(kText, 8, 1, "/user/data/x"),
              ElementsAre("/home/user/data/x", "/mnt/my data/x"));
  EXPECT_THAT(PathsOnHost(kText, 8, 1, "/user/database"),
              ElementsAre("/home/user/database"));
}

TEST(PathsOnHost, IsEmptyForAFileSystemThatIsNotMounted) {
  EXPECT_THAT(PathsOnHost(kText, 9, 9, "/x"), IsEmpty());
  EXPECT_THAT(PathsOnHost("", 8, 1, "/x"), IsEmpty());
}

TEST(PathsOnHost, IsBounded) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "1 1 8:1 / /m rw\n";
  EXPECT_EQ(PathsOnHost(text, 8, 1, "/x").size(), kMaxMountCandidates);
}

}  // namespace
}  // namespace pprofd
