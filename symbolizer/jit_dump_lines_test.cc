#include "symbolizer/jit_dump_lines.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "symbolizer/testdata/jit_dump_writer.h"

namespace pprofd {
namespace {

using Writer = JitDumpWriter;
using namespace std::string_literals;

class JitDumpLinesTest : public testing::Test {
 protected:
  // Good until the next call.
  JitDumpLines Parse(std::string text) {
    text_ = std::move(text);
    return ParseJitDumpLines(
        {reinterpret_cast<const uint8_t*>(text_.data()), text_.size()});
  }

  std::string text_;
};

TEST_F(JitDumpLinesTest, ReadsAddressLineAndFile) {
  std::string text = Writer::LinesContent(
      0x1000, {{0x1000, 3, "/a.js"}, {0x1010, 4, "\xff"}, {0x1020, 9, "b"}});
  for (size_t padding = 0; padding < 8; ++padding) {
    JitDumpLines lines = Parse(text + std::string(padding, '\0'));
    EXPECT_EQ(lines.code_address, 0x1000u);
    ASSERT_EQ(lines.entries.size(), 3u);
    EXPECT_EQ(lines.entries[0].address, 0x1000u);
    EXPECT_EQ(lines.entries[0].line, 3u);
    EXPECT_EQ(lines.entries[0].file, "/a.js");
    EXPECT_EQ(lines.entries[1].file, "/a.js") << "the same as before";
    EXPECT_EQ(lines.entries[2].file, "b");
  }
}

TEST_F(JitDumpLinesTest, FindsTheNextEntryBehindNulsInAName) {
  const std::string kBroken = "\xc8S\x01\0\0\0\0\0\xaf\x12\0\xd3/app.js"s;
  JitDumpLines lines = Parse(
      Writer::LinesContent(0x7f0000001000, {{0x7f0000001040, 3, kBroken},
                                            {0x7f0000001050, 4, kBroken},
                                            {0x7f0000001060, 5, kBroken}}) +
      "\0\0\0"s);
  ASSERT_EQ(lines.entries.size(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(lines.entries[i].line, 3 + i);
    EXPECT_EQ(lines.entries[i].file, kBroken);
    EXPECT_TRUE(IsOverwritten(lines.entries[i].file));
  }
  EXPECT_FALSE(IsOverwritten("/app.js"));
}

TEST_F(JitDumpLinesTest, EndsWhereEntriesMakeNoSense) {
  // Of other code, and of a line that no file has.
  EXPECT_EQ(Parse(Writer::LinesContent(0x10000,
                                       {{0x10000, 3, "a"}, {0x9000, 4, "a"}}))
                .entries.size(),
            1u);
  EXPECT_EQ(Parse(Writer::LinesContent(
                      0x10000, {{0x10000, 3, "a"}, {0x10000, 1u << 30, "a"}}))
                .entries.size(),
            1u);
}

TEST_F(JitDumpLinesTest, SurvivesEveryCut) {
  std::string text = Writer::LinesContent(
      0x1000, {{0x1000, 3, "/a.js"}, {0x1010, 4, "/a.js"}});
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_LT(Parse(text.substr(0, size)).entries.size(), 2u) << size;
  }
}

TEST_F(JitDumpLinesTest, BelievesNoCount) {
  std::string text = Writer::LinesContent(0x1000, {{0x1000, 3, "/a.js"}});
  text.replace(8, 8, "\xff\xff\xff\xff\xff\xff\xff\xff");
  EXPECT_EQ(Parse(text).entries.size(), 1u);
}

}  // namespace
}  // namespace pprofd
