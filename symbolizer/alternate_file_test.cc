#include "symbolizer/alternate_file.h"

#include <elfutils/libdw.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "symbolizer/dwarf_file.h"
#include "symbolizer/testdata/known_code.h"
#include "symbolizer/testdata/shared_code_chains.h"

namespace pprofd {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

struct Variant {
  std::string plain;
  std::string dwz;
};
using AlternateVariantsTest = testing::TestWithParam<Variant>;

TEST_P(AlternateVariantsTest, GivesWhatTheFileInOnePieceGives) {
  AllCalls plain = CallsOf({SharedCodePath("plain/" + GetParam().plain)});
  AllCalls dwz = CallsOf({SharedCodePath("dwz/" + GetParam().dwz)});
  EXPECT_GT(plain.lines.size(), 100u);
  EXPECT_THAT(plain.lines, Contains(HasSubstr("shared::Mixer::Spread")));
  EXPECT_THAT(plain.lines, Contains(HasSubstr("}::operator()")));
  EXPECT_EQ(FirstDifference(dwz.lines, plain.lines), "");
  EXPECT_THAT(
      dwz.attempts,
      Contains("alternate debug file: " +
               SharedCodePath("dwz/" + GetParam().dwz).string() + ".common"))
      << dwz.Attempts();
}

INSTANTIATE_TEST_SUITE_P(Variants, AlternateVariantsTest,
                         testing::Values(Variant{"gcc4", "gcc4"},
                                         Variant{"gcc5", "gcc5"},
                                         Variant{"gcc5", "gcc5absolute"},
                                         Variant{"gcc5", "gcc5sup"},
                                         Variant{"clang4", "clang4"}),
                         [](const auto& variant) { return variant.param.dwz; });

std::string BuildIdPath(const std::filesystem::path& file) {
  UniqueFd fd = OpenFile(file);
  auto map = MapFile(fd.get());
  std::string hex = ElfFile::Parse(Bytes(*map))->build_id().Hex();
  return "usr/lib/debug/.build-id/" + hex.substr(0, 2) + "/" + hex.substr(2) +
         ".debug";
}

class AlternateFileTest : public testing::Test {
 protected:
  AlternateFileTest() { CopyTo(SharedCodePath("dwz/gcc5"), program_.file); }

  const std::filesystem::path common_ = SharedCodePath("dwz/gcc5.common");
  const std::vector<std::string> expected_ =
      CallsOf({SharedCodePath("plain/gcc5")}).lines;
  TemporaryFolder root_;
  // In root_, where its link leads nowhere.
  const Program program_{.file = root_.path() / "opt/program",
                         .path = "/opt/program",
                         .root = root_.path()};
};

TEST_F(AlternateFileTest, IsFoundByItsBuildIdInTheTargetsRoot) {
  CopyTo(common_, root_.path() / BuildIdPath(common_));
  AllCalls calls = CallsOf(program_);
  EXPECT_EQ(FirstDifference(calls.lines, expected_), "") << calls.Attempts();
}

TEST_F(AlternateFileTest, IsFoundBesideTheFileInTheTargetsRoot) {
  CopyTo(common_, root_.path() / "opt/gcc5.common");
  AllCalls calls = CallsOf(program_);
  EXPECT_EQ(FirstDifference(calls.lines, expected_), "") << calls.Attempts();
}

TEST_F(AlternateFileTest, MissingLeavesFunctionsAndLinesOnly) {
  AllCalls calls = CallsOf(program_);
  EXPECT_THAT(calls.lines, Contains(HasSubstr(" shared_work (")));
  EXPECT_THAT(calls.lines, Contains(HasSubstr("shared_more.cc:")));
  EXPECT_THAT(calls.lines, Not(Contains(HasSubstr("Mixer"))));
  EXPECT_THAT(calls.lines, Not(Contains(HasSubstr("  ("))));  // no name
  EXPECT_THAT(calls.attempts,
              Contains(HasSubstr("alternate debug file: no gcc5.common")));
}

TEST_F(AlternateFileTest, IsRefusedWithAnotherBuildId) {
  CopyTo(SharedCodePath("dwz/gcc4.common"), root_.path() / "opt/gcc5.common");
  AllCalls calls = CallsOf(program_);
  EXPECT_THAT(calls.lines, Not(Contains(HasSubstr("Mixer"))));
  EXPECT_THAT(calls.attempts,
              Contains(HasSubstr("opt/gcc5.common: other build ID")));
}

// As distributions have it: .build-id/xx/yyyy.debug is a link to the debug
// file, and the path of the alternate file is relative to where that one is.
TEST_F(AlternateFileTest, IsFoundFromWhereTheDebugFileReallyIs) {
  std::filesystem::path link = root_.path() / BuildIdPath(program_.file);
  std::filesystem::create_directories(link.parent_path());
  std::filesystem::create_symlink("/usr/lib/debug/opt/program.debug", link);
  CopyTo(program_.file, root_.path() / "usr/lib/debug/opt/program.debug");
  CopyTo(common_, root_.path() / "usr/lib/debug/opt/gcc5.common");
  AllCalls calls = CallsOf({.file = SharedCodePath("dwz/gcc5.stripped"),
                            .path = "/opt/program",
                            .root = root_.path()});
  EXPECT_EQ(FirstDifference(calls.lines, expected_), "") << calls.Attempts();
}

TEST_F(AlternateFileTest, IsNeverOpenedByLibdw) {
  UniqueFd fd = OpenFile(SharedCodePath("dwz/gcc5absolute"));
  auto map = MapFile(fd.get());
  auto file = DwarfFile::Open(std::move(*map));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(dwarf_getalt((*file)->dwarf()), nullptr);
}

TEST_F(AlternateFileTest, LinksThatMakeNoSenseAreNone) {
  UniqueFd fd = OpenFile(SharedCodePath("dwz/gcc5"));
  auto map = MapFile(fd.get());
  std::vector<uint8_t> bytes(Bytes(*map).begin(), Bytes(*map).end());
  auto elf = ElfFile::Parse(bytes);
  auto link = ReadAlternateLink(*elf);
  ASSERT_TRUE(link);
  EXPECT_EQ(link->path, "gcc5.common");
  EXPECT_EQ(link->identity.bytes().size(), 20u);
  const ElfSection* section = elf->FindSection(".gnu_debugaltlink");
  // Without an end of the path.
  for (uint64_t i = 0; i < section->size; ++i) {
    if (bytes[section->offset.value + i] == 0) {
      bytes[section->offset.value + i] = 'x';
    }
  }
  EXPECT_FALSE(ReadAlternateLink(*ElfFile::Parse(bytes)));
}

TEST_F(AlternateFileTest, BrokenAlternateFilesDoNoHarm) {
  UniqueFd fd = OpenFile(common_);
  auto map = MapFile(fd.get());
  std::string bytes(Bytes(*map).begin(), Bytes(*map).end());
  uint64_t random = 1;
  for (int round = 0; round < 60; ++round) {
    std::string broken = bytes;
    for (int i = 0; i < 10; ++i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      // Behind the ELF header and the build ID.
      broken[0x70 + (random >> 20) % (broken.size() - 0x70)] =
          static_cast<char>(random >> 56);
    }
    std::filesystem::create_directories(root_.path() / "opt");
    std::ofstream(root_.path() / "opt/gcc5.common", std::ios::binary) << broken;
    CallsOf(program_);
  }
}

}  // namespace
}  // namespace pprofd
