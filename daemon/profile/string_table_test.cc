#include "daemon/profile/string_table.h"

#include <gtest/gtest.h>

#include "daemon/profile/utf8.h"

namespace pprofd {
namespace {

TEST(StringTable, HoldsEveryTextOnceBehindTheEmptyOne) {
  StringTable table;
  EXPECT_EQ(table.Add(""), 0u);
  EXPECT_EQ(table.Add("a"), 1u);
  EXPECT_EQ(table.Add("b"), 2u);
  EXPECT_EQ(table.Add("a"), 1u);
  EXPECT_EQ(std::move(table).Take(), (std::vector<std::string>{"", "a", "b"}));
}

TEST(StringTable, MergesTextsThatCleaningMakesEqual) {
  StringTable table;
  StringIndex bad = table.Add("x\xff");
  EXPECT_EQ(table.Add("x\xfe"), bad);
  EXPECT_EQ(table.Add("x\xef\xbf\xbd"), bad);
  EXPECT_EQ(table.size(), 2u);
}

TEST(StringTable, CutsLongTexts) {
  StringTable table;
  table.Add(std::string(100'000, 'x'));
  table.Add(std::string(100'000, '\xff'));
  table.Add(std::string(StringTable::kMaxTextBytes - 1, 'x') + "\xc3\xa9");
  for (const std::string& text : std::move(table).Take()) {
    EXPECT_LE(text.size(), StringTable::kMaxTextBytes);
    EXPECT_TRUE(IsValidUtf8(text));
  }
}

TEST(Utf8, KnowsValidSequences) {
  for (const char* text : {"", "plain", "\xc3\xa9", "\xe2\x82\xac",
                           "\xf0\x9f\x98\x80", "\xed\x9f\xbf"}) {
    EXPECT_TRUE(IsValidUtf8(text)) << text;
  }
}

TEST(Utf8, RefusesOverlongSurrogateAndCutSequences) {
  for (const char* text :
       {"\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xe2\x82", "\x80", "\xc3("}) {
    EXPECT_FALSE(IsValidUtf8(text));
    EXPECT_TRUE(IsValidUtf8(ReplaceBadUtf8(text)));
  }
  EXPECT_EQ(ReplaceBadUtf8("a\xff(b"), "a\xef\xbf\xbd(b");
}

}  // namespace
}  // namespace pprofd
