#include "daemon/process/target_system.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "daemon/base/unique_handle.h"
#include "daemon/process/temp_proc.h"

namespace pprofd {
namespace {

using Family = TargetSystem::Family;

constexpr char kDebian[] =
    "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian\"\n"
    "ID=debian\n";

TargetSystem ReadBelow(const TempProc& root) {
  UniqueFd fd(open(root.root().c_str(), O_PATH | O_DIRECTORY));
  return ReadTargetSystem(fd.get());
}

TEST(TargetSystem, KnowsTheFamiliesByIdOrLikeness) {
  EXPECT_EQ(ParseOsRelease(kDebian).family, Family::kDebian);
  EXPECT_EQ(ParseOsRelease(kDebian).name, "Debian GNU/Linux 12 (bookworm)");
  EXPECT_EQ(ParseOsRelease("ID=mint\nID_LIKE=\"ubuntu debian\"").family,
            Family::kDebian);
  EXPECT_EQ(ParseOsRelease("ID='rocky'\nID_LIKE='rhel fedora'\n").family,
            Family::kFedora);
  EXPECT_EQ(ParseOsRelease("ID=\"opensuse-leap\"\n").family, Family::kSuse);
  EXPECT_EQ(ParseOsRelease("ID=alpine\nNAME=Alpine\n").family, Family::kOther);
  EXPECT_EQ(ParseOsRelease("ID=alpine\nNAME=Alpine\n").name, "Alpine");
}

TEST(TargetSystem, MakesNothingOfNonsense) {
  for (std::string text :
       {std::string(), std::string("=\n=\n=="), std::string("ID"),
        std::string("ID=\"debian fedora\\"), std::string(70'000, '='),
        std::string("\0ID=debian\0\n", 12)}) {
    EXPECT_EQ(ParseOsRelease(text).name, "");
  }
  std::string long_name = "PRETTY_NAME=" + std::string(100'000, 'x');
  EXPECT_LE(ParseOsRelease(long_name).name.size(), 256u);
}

TEST(TargetSystem, ReadsTheFileBelowTheRoot) {
  TempProc root;
  root.Write("usr/lib/os-release", kDebian);
  EXPECT_EQ(ReadBelow(root).family, Family::kDebian);
  root.Link("etc/os-release", "../../../../usr/lib/os-release");
  EXPECT_EQ(ReadBelow(root).family, Family::kDebian);
  EXPECT_EQ(ReadBelow(root).problem, "");
}

TEST(TargetSystem, DoesNotLeaveTheRootByALink) {
  TempProc outside;
  std::string secret = outside.Write("os-release", kDebian);
  TempProc root;
  root.Link("etc/os-release", secret);
  TargetSystem system = ReadBelow(root);
  EXPECT_EQ(system.family, Family::kOther);
  EXPECT_NE(system.problem, "");
}

TEST(TargetSystem, DoesNotWaitForAFifo) {
  TempProc root;
  root.Write("etc/other", "");
  ASSERT_EQ(mkfifo(root.Path("etc/os-release").c_str(), 0600), 0);
  EXPECT_NE(ReadBelow(root).problem, "");
}

TEST(TargetSystem, ReadsNoMoreThanAsked) {
  TempProc root;
  root.Write("big", std::string(1'000'000, 'x'));
  UniqueFd fd(open(root.root().c_str(), O_PATH | O_DIRECTORY));
  Result<std::string> text = ReadFileInRoot(fd.get(), "/big", 1000);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->size(), 1000u);
}

}  // namespace
}  // namespace pprofd
