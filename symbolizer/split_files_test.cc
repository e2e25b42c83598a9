#include "symbolizer/split_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "symbolizer/testdata/known_code.h"
#include "symbolizer/testdata/shared_code_chains.h"

namespace pprofd {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kAllFound =
    "split DWARF: 2 of 2 units that were asked for";
constexpr std::array<std::string_view, 2> kUnits{".shared_code.dwo",
                                                 ".shared_more.dwo"};

using SplitVariantsTest = testing::TestWithParam<const char*>;

TEST_P(SplitVariantsTest, GiveInObjectsWhatTheFileInOnePieceGives) {
  AllCalls plain =
      CallsOf({SharedCodePath("plain/" + std::string(GetParam()))});
  AllCalls split =
      CallsOf({SharedCodePath("split/" + std::string(GetParam()))});
  EXPECT_THAT(plain.lines, Contains(HasSubstr("shared::Mixer::Spread")));
  EXPECT_EQ(FirstDifference(split.lines, plain.lines), "") << split.Attempts();
  EXPECT_THAT(split.attempts, Contains(kAllFound));
}

TEST_P(SplitVariantsTest, GiveInAPackageWhatTheFileInOnePieceGives) {
  AllCalls plain =
      CallsOf({SharedCodePath("plain/" + std::string(GetParam()))});
  std::filesystem::path program =
      SharedCodePath("packed/" + std::string(GetParam()));
  AllCalls packed = CallsOf({program});
  EXPECT_EQ(FirstDifference(packed.lines, plain.lines), "")
      << packed.Attempts();
  EXPECT_THAT(packed.attempts,
              Contains("split DWARF: package " + program.string() + ".dwp"));
  EXPECT_THAT(packed.attempts, Contains(kAllFound));
}

INSTANTIATE_TEST_SUITE_P(Variants, SplitVariantsTest,
                         testing::Values("gcc4", "gcc5", "clang4", "clang5"),
                         [](const auto& variant) {
                           return std::string(variant.param);
                         });

class SplitFilesTest : public testing::Test {
 protected:
  // Puts a .dwo where the program of moved/ says, in the target's root.
  void PutObjects(const std::string& from) {
    for (std::string_view unit : kUnits) {
      CopyTo(SharedCodePath("moved/dwo/" + from + std::string(unit)),
             InRoot("gcc5" + std::string(unit)));
    }
  }
  std::filesystem::path InRoot(const std::string& name) {
    return root_.path() / SharedCodePath("moved/" + name).relative_path();
  }

  const std::vector<std::string> expected_ =
      CallsOf({SharedCodePath("plain/gcc5")}).lines;
  TemporaryFolder root_;
  const Program program_{.file = SharedCodePath("moved/gcc5"),
                         .path = "/opt/program",
                         .root = root_.path()};
};

TEST_F(SplitFilesTest, AreFoundInTheTargetsRoot) {
  PutObjects("gcc5");
  AllCalls calls = CallsOf(program_);
  EXPECT_EQ(FirstDifference(calls.lines, expected_), "") << calls.Attempts();
}

TEST_F(SplitFilesTest, MissingLeaveFunctionsAndLinesOnly) {
  AllCalls calls = CallsOf(program_);
  EXPECT_THAT(calls.lines, Contains(HasSubstr(" shared_work (")));
  EXPECT_THAT(calls.lines, Contains(HasSubstr("shared_more.cc:")));
  EXPECT_THAT(calls.lines, Not(Contains(HasSubstr("Mixer"))));
  EXPECT_THAT(calls.attempts, Contains(HasSubstr("split DWARF: no /")));
  EXPECT_THAT(calls.attempts,
              Contains("split DWARF: 0 of 2 units that were asked for"));
}

TEST_F(SplitFilesTest, AreRefusedWithAnotherId) {
  PutObjects("clang5");
  AllCalls calls = CallsOf(program_);
  EXPECT_THAT(calls.lines, Not(Contains(HasSubstr("Mixer"))));
  EXPECT_THAT(calls.attempts,
              Contains(HasSubstr("shared_code.dwo: other DWO ID")));
}

TEST_F(SplitFilesTest, OfTheWrongKindAreToldWithTheReason) {
  for (std::string_view unit : kUnits) {
    CopyTo(SharedCodePath("plain/gcc5"), InRoot("gcc5" + std::string(unit)));
  }
  EXPECT_THAT(CallsOf(program_).attempts,
              Contains(HasSubstr("shared_code.dwo: no split units")));
}

TEST_F(SplitFilesTest, OfAPackageMayBeBesideTheTargetsProgram) {
  CopyTo(SharedCodePath("packed/gcc5.dwp"), root_.path() / "opt/program.dwp");
  AllCalls calls = CallsOf({.file = SharedCodePath("packed/gcc5"),
                            .path = "/opt/program",
                            .root = root_.path()});
  EXPECT_EQ(FirstDifference(calls.lines, expected_), "") << calls.Attempts();
}

TEST_F(SplitFilesTest, ThatGoAwayLeaveLinesInLaterCalls) {
  PutObjects("gcc5");
  UniqueFd fd = OpenFile(program_.file);
  ModuleAddr work = AddressOf("shared_work", program_.file);
  Symbolizer symbolizer{Symbolizer::Options()};
  auto lookup = [&](ModuleAddr address) {
    return symbolizer
        .SymbolizeModule(fd.get(), "key", "/opt/program", root_.path(),
                         std::array{address}, DemangleStyle::kShort,
                         NoDeadline())
        .Chain(0);
  };
  EXPECT_EQ(lookup(work).at(0).start_line, 33);
  std::filesystem::remove_all(root_.path());
  SymbolChain later = lookup({work.value + 1});
  ASSERT_EQ(later.size(), 1u);
  EXPECT_EQ(later[0].name, "shared_work");
  EXPECT_GT(later[0].line, 0);
}

TEST_F(SplitFilesTest, BrokenDoNoHarm) {
  uint64_t random = 1;
  for (const std::string variant : {"gcc4", "gcc5", "clang5"}) {
    UniqueFd fd = OpenFile(SharedCodePath("packed/" + variant + ".dwp"));
    auto map = MapFile(fd.get());
    std::string bytes(Bytes(*map).begin(), Bytes(*map).end());
    for (int round = 0; round < 40; ++round) {
      std::string broken = bytes;
      for (int i = 0; i < 10; ++i) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        broken[0x40 + (random >> 20) % (broken.size() - 0x40)] =
            static_cast<char>(random >> 56);
      }
      std::filesystem::create_directories(root_.path() / "opt");
      std::ofstream(root_.path() / "opt/program.dwp", std::ios::binary)
          << broken;
      CallsOf({.file = SharedCodePath("packed/" + variant),
               .path = "/opt/program",
               .root = root_.path()});
    }
  }
}

}  // namespace
}  // namespace pprofd
