#include "symbolizer/symbolizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "symbolizer/testdata/known_code.h"

namespace pprofd {
namespace {

using testing::Contains;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class SymbolizerTest : public testing::TestWithParam<const char*> {
 protected:
  SymbolChain Lookup(const std::string& path, ModuleAddr address,
                     DemangleStyle style = DemangleStyle::kShort) {
    UniqueFd fd = OpenFile(path);
    EXPECT_TRUE(fd) << path;
    return symbolizer_
        .SymbolizeModule(fd.get(), path, path, "", std::array{address}, style,
                         NoDeadline())
        .Chain(0);
  }

  Symbolizer symbolizer_{Symbolizer::Options()};
};

using DwarfTest = SymbolizerTest;

TEST_P(DwarfTest, GivesInlinedCallsInnermostFirst) {
  SymbolChain chain =
      Lookup(TargetPath(GetParam()), AddressOf("known_inlined"));
  ASSERT_THAT(chain, SizeIs(3));
  EXPECT_EQ(chain[0].name, "known::(anonymous namespace)::Innermost");
  EXPECT_EQ(chain[0].line, 8);
  EXPECT_EQ(chain[0].start_line, 7);
  EXPECT_EQ(chain[1].name, "known::(anonymous namespace)::Middle");
  EXPECT_EQ(chain[1].line, 13);
  EXPECT_EQ(chain[2].name, "known::Outer::Run");
  EXPECT_EQ(chain[2].system_name, "_ZNK5known5Outer3RunEi");
  EXPECT_EQ(chain[2].line, 28);
  EXPECT_EQ(chain[2].start_line, 27);
  for (const SymbolLine& line : chain) {
    EXPECT_EQ(line.file[0], '/');
    EXPECT_THAT(line.file, EndsWith("symbolizer/testdata/known_code.cc"));
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, DwarfTest,
                         testing::Values("", ".dwarf4", ".zlib", ".zdebug",
                                         ".stripped"),
                         [](const auto& variant) {
                           std::string name(variant.param);
                           return name.empty() ? "dwarf5" : name.substr(1);
                         });

TEST_F(SymbolizerTest, SaysWhatTheSourcesCanGive) {
  UniqueFd fd = OpenFile(TargetPath(""));
  ModuleSymbols with_dwarf = symbolizer_.SymbolizeModule(
      fd.get(), "a", "/a", "", {}, DemangleStyle::kShort, NoDeadline());
  EXPECT_EQ(with_dwarf.size(), 0u);
  ModuleSymbols result = symbolizer_.SymbolizeModule(
      fd.get(), "a", "/a", "", std::array{AddressOf("main")},
      DemangleStyle::kShort, NoDeadline());
  EXPECT_TRUE(result.has_filenames);
  EXPECT_TRUE(result.has_line_numbers);
  EXPECT_TRUE(result.has_inline_frames);
}

TEST_F(SymbolizerTest, PresentsTheStyleAskedFor) {
  ModuleAddr address = AddressOf("known_inlined");
  auto outer = [&](DemangleStyle style) {
    return Lookup(TargetPath(""), address, style).back().name;
  };
  EXPECT_EQ(outer(DemangleStyle::kNone), "_ZNK5known5Outer3RunEi");
  EXPECT_EQ(outer(DemangleStyle::kFull), "known::Outer::Run(int) const");
}

TEST_F(SymbolizerTest, NamesAssemblyWithoutTypeOrSize) {
  SymbolChain chain =
      Lookup(TargetPath(".nodebug"), AddressOf("known_assembly"));
  ASSERT_THAT(chain, SizeIs(1));
  EXPECT_EQ(chain[0].name, "known_assembly");
  EXPECT_EQ(chain[0].line, 0);
}

TEST_F(SymbolizerTest, DoesNotNameAHiddenFunctionAfterItsNeighbour) {
  ModuleAddr hidden = AddressOf("known_hidden");
  EXPECT_EQ(Lookup(TargetPath(""), hidden).back().name,
            "known::(anonymous namespace)::Hidden");
  EXPECT_THAT(Lookup(TargetPath(".dynamic"), hidden), IsEmpty());
  EXPECT_EQ(
      Lookup(TargetPath(".dynamic"), AddressOf("known_exported")).at(0).name,
      "known_exported");
}

TEST_F(SymbolizerTest, TellsWhatItTried) {
  Lookup(TargetPath(".dynamic"), AddressOf("known_hidden"));
  EXPECT_THAT(symbolizer_.Report(TargetPath(".dynamic")).attempts,
              Contains(HasSubstr("no DWARF")));
}

TEST_F(SymbolizerTest, AnswersNothingAfterTheDeadline) {
  UniqueFd fd = OpenFile(TargetPath(""));
  std::array addresses{AddressOf("main")};
  auto past = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  EXPECT_THAT(symbolizer_
                  .SymbolizeModule(fd.get(), "k", "/k", "", addresses,
                                   DemangleStyle::kShort, past)
                  .Chain(0),
              IsEmpty());
  // And names it when asked again.
  EXPECT_THAT(symbolizer_
                  .SymbolizeModule(fd.get(), "k", "/k", "", addresses,
                                   DemangleStyle::kShort, NoDeadline())
                  .Chain(0),
              SizeIs(1));
}

TEST_F(SymbolizerTest, KeepsItsCacheWithinTheBound) {
  Symbolizer::Options options;
  options.max_cache_bytes = 8 << 10;
  Symbolizer small(options);
  UniqueFd fd = OpenFile(TargetPath(""));
  for (int i = 0; i < 20; ++i) {
    small.SymbolizeModule(fd.get(), std::to_string(i), "/k", "",
                          std::array{AddressOf("main")}, DemangleStyle::kShort,
                          NoDeadline());
    EXPECT_LE(small.cache_bytes(), options.max_cache_bytes);
  }
}

TEST_F(SymbolizerTest, ExaminesAFileWithoutKeepingAnything) {
  auto examine = [this](const std::string& variant) {
    UniqueFd fd = OpenFile(TargetPath(variant));
    return symbolizer_.Examine(fd.get(), TargetPath(variant), "");
  };
  size_t bytes = symbolizer_.cache_bytes();
  SourceReport whole = examine("");
  EXPECT_TRUE(whole.has_dwarf && whole.has_symtab && whole.has_dynsym);
  SourceReport dynamic = examine(".dynamic");
  EXPECT_FALSE(dynamic.has_dwarf || dynamic.has_symtab);
  EXPECT_TRUE(dynamic.has_dynsym);
  SourceReport linked = examine(".stripped");  // by its debug link
  EXPECT_TRUE(linked.has_dwarf && linked.has_symtab);
  EXPECT_EQ(symbolizer_.cache_bytes(), bytes);
  EXPECT_THAT(symbolizer_.Report(TargetPath("")).attempts, IsEmpty());
}

TEST_F(SymbolizerTest, LeavesNonElfFilesUnnamedWithAReason) {
  UniqueFd fd(memfd_create("text", MFD_CLOEXEC));
  ASSERT_EQ(write(fd.get(), "hello", 5), 5);
  ModuleSymbols result = symbolizer_.SymbolizeModule(
      fd.get(), "t", "/t", "", std::array{ModuleAddr{1}}, DemangleStyle::kShort,
      NoDeadline());
  EXPECT_THAT(result.Chain(0), IsEmpty());
  EXPECT_THAT(symbolizer_.Report("t").attempts,
              Contains(HasSubstr("not an ELF file")));
}

// Bytes of the file are broken one by one; whatever the answer, it comes.
TEST_F(SymbolizerTest, SurvivesBrokenFiles) {
  UniqueFd original = OpenFile(TargetPath(""));
  auto map = MapFile(original.get());
  std::vector<uint8_t> bytes(Bytes(*map).begin(), Bytes(*map).end());
  std::vector<ModuleAddr> addresses{
      AddressOf("main"), AddressOf("known_inlined"), AddressOf("known_hidden")};
  uint64_t random = 1;
  for (int round = 0; round < 150; ++round) {
    std::vector<uint8_t> broken = bytes;
    for (int i = 0; i < 20; ++i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      broken[(random >> 20) % broken.size()] =
          static_cast<uint8_t>(random >> 56);
    }
    if (round % 10 == 0) broken.resize(random % broken.size());
    UniqueFd fd(memfd_create("broken", MFD_CLOEXEC));
    ASSERT_EQ(write(fd.get(), broken.data(), broken.size()),
              static_cast<ssize_t>(broken.size()));
    symbolizer_.SymbolizeModule(fd.get(), std::to_string(round), "/broken", "",
                                addresses, DemangleStyle::kShort, NoDeadline());
  }
}

TEST_F(SymbolizerTest, NamesJitCodeAndSeesNewLines) {
  UniqueFd fd(memfd_create("map", MFD_CLOEXEC));
  auto append = [&](const std::string& text) {
    ASSERT_EQ(write(fd.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  };
  std::array<uint64_t, 2> addresses{0x1008, 0x2000};
  append("1000 10 Lfirst;run\n");
  auto before = symbolizer_.SymbolizePerfMap(fd.get(), "m", addresses,
                                             DemangleStyle::kShort);
  EXPECT_EQ(before.Chain(0).at(0).name, "Lfirst;run");
  EXPECT_THAT(before.Chain(1), IsEmpty());
  append("2000 10 _ZN2ns3fooEi\n");
  auto after = symbolizer_.SymbolizePerfMap(fd.get(), "m", addresses,
                                            DemangleStyle::kShort);
  EXPECT_EQ(after.Chain(1).at(0).name, "ns::foo");
  EXPECT_EQ(after.Chain(1).at(0).system_name, "_ZN2ns3fooEi");
}

}  // namespace
}  // namespace pprofd
