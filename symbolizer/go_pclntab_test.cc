#include "symbolizer/go_pclntab.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "symbolizer/testdata/go_file_writer.h"

namespace pprofd {
namespace {

using Layout = GoFileWriter::Layout;
using Texts = std::vector<std::string>;

// "function file:line", innermost first.
Texts FindIn(const std::vector<uint8_t>& bytes, uint64_t address) {
  auto file = ElfFile::Parse(bytes);
  if (!file.ok()) return {"no ELF file"};
  auto table = GoPclntab::Open(*file);
  if (!table) return {"no table"};
  Texts texts;
  for (const GoLine& line : table->Find({address})) {
    texts.push_back(std::string(line.function) + " " + std::string(line.file) +
                    ":" + std::to_string(line.line));
  }
  return texts;
}

class GoPclntabTest : public testing::TestWithParam<std::tuple<Layout, bool>> {
 protected:
  GoPclntabTest() { writer_.has_relocations = std::get<1>(GetParam()); }
  Texts Find(uint64_t offset) {
    return FindIn(writer_.Write(), GoFileWriter::kOuter + offset);
  }

  GoFileWriter writer_{std::get<0>(GetParam())};
};

INSTANTIATE_TEST_SUITE_P(Layouts, GoPclntabTest,
                         testing::Values(std::tuple(Layout::kGo16, false),
                                         std::tuple(Layout::kGo18, false),
                                         std::tuple(Layout::kGo18, true),
                                         std::tuple(Layout::kGo20, false),
                                         std::tuple(Layout::kGo20, true),
                                         std::tuple(Layout::kGo26, false),
                                         std::tuple(Layout::kGo26, true)));

TEST_P(GoPclntabTest, NamesInlinedCallsInnermostFirst) {
  EXPECT_EQ(Find(0), Texts{"main.outer /src/a.go:10"});
  EXPECT_EQ(Find(0x2f),
            (Texts{"main.middle /src/b.go:20", "main.outer /src/a.go:10"}));
  EXPECT_EQ(Find(0x30),
            (Texts{"main.inner /src/a.go:30", "main.middle /src/b.go:20",
                   "main.outer /src/a.go:10"}));
  EXPECT_EQ(Find(0x5f),
            (Texts{"main.middle /src/b.go:21", "main.outer /src/a.go:10"}));
  EXPECT_EQ(Find(0x60), Texts{"main.outer /src/a.go:11"});
}

TEST_P(GoPclntabTest, NamesFunctionsWithoutInlinedCalls) {
  EXPECT_EQ(Find(0x100), Texts{"main.plain /src/b.go:40"});
  EXPECT_EQ(Find(0x13f), Texts{"main.plain /src/b.go:40"});
  EXPECT_EQ(Find(0x140), Texts{});
  EXPECT_EQ(FindIn(writer_.Write(), GoFileWriter::kOuter - 1), Texts{});
}

TEST_P(GoPclntabTest, GivesNoFunctionThePaddingBehindIt) {
  EXPECT_EQ(Find(0xef), Texts{"main.outer /src/a.go:11"});
  EXPECT_EQ(Find(0xf0), Texts{});
  EXPECT_EQ(Find(0xff), Texts{});
}

TEST_P(GoPclntabTest, KnowsWhereFunctionsStartSinceGo20) {
  std::vector<uint8_t> bytes = writer_.Write();
  auto file = ElfFile::Parse(bytes);
  ASSERT_TRUE(file.ok());
  auto table = GoPclntab::Open(*file);
  ASSERT_TRUE(table.has_value());
  EXPECT_EQ(table->function_count(), 2u);
  std::vector<GoLine> lines = table->Find({GoFileWriter::kOuter + 0x30});
  ASSERT_EQ(lines.size(), 3u);
  bool has_start_line = std::get<0>(GetParam()) >= Layout::kGo20;
  EXPECT_EQ(lines[0].start_line, has_start_line ? 29u : 0u);
  EXPECT_EQ(lines[1].start_line, has_start_line ? 19u : 0u);
  EXPECT_EQ(lines[2].start_line, has_start_line ? 9u : 0u);
}

TEST_P(GoPclntabTest, DoesNotGoRoundInCircles) {
  writer_.parent_of_inner = 0x30;
  EXPECT_EQ(Find(0x30), Texts{"main.outer /src/a.go:30"});
  EXPECT_EQ(Find(0x50),
            (Texts{"main.middle /src/b.go:21", "main.outer /src/a.go:10"}));
}

TEST_P(GoPclntabTest, BelievesNoNameThatIsNone) {
  for (uint32_t name : {1u, 3u, 0x7fffffffu, 0xfffffffeu}) {
    writer_.name_of_inner = name;
    EXPECT_EQ(Find(0x30), Texts{"main.outer /src/a.go:30"}) << name;
  }
}

TEST_P(GoPclntabTest, SurvivesDamage) {
  const std::vector<uint8_t> whole = writer_.Write();
  std::mt19937 random(7);
  for (int i = 0; i < 200; ++i) {
    std::vector<uint8_t> bytes = whole;
    for (int k = 0; k < 8; ++k) {
      bytes[0x2000 + random() % 0x3400] = static_cast<uint8_t>(random());
    }
    auto file = ElfFile::Parse(bytes);
    ASSERT_TRUE(file.ok());
    auto table = GoPclntab::Open(*file);
    if (!table) continue;
    for (uint64_t at = 0; at < 0x140; at += 0x10) {
      EXPECT_LE(table->Find({GoFileWriter::kOuter + at}).size(),
                GoPclntab::kMaxDepth + 1);
    }
  }
}

TEST(GoPclntab, LeavesOutLinesOfOtherFilesWithoutTheTree) {
  for (Layout layout : {Layout::kGo18, Layout::kGo20}) {
    GoFileWriter writer(layout);
    writer.has_module_data = false;
    std::vector<uint8_t> bytes = writer.Write();
    EXPECT_EQ(FindIn(bytes, GoFileWriter::kOuter + 0x10),
              Texts{"main.outer /src/a.go:10"});
    EXPECT_EQ(FindIn(bytes, GoFileWriter::kOuter + 0x50),
              Texts{"main.outer /src/a.go:0"});
  }
}

}  // namespace
}  // namespace pprofd
