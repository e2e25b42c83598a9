#include "daemon/server/text.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

TEST(Text, KeepsUtf8AndReplacesWhatIsNone) {
  EXPECT_EQ(OneLine("naïve 日本 😀"), "naïve 日本 😀");
  EXPECT_EQ(OneLine("a\xff\xc0\x80z"),
            "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
  EXPECT_EQ(OneLine("\xe6\x97"), "\xef\xbf\xbd\xef\xbf\xbd");
  // A surrogate, and a code point above the last.
  EXPECT_EQ(OneLine("\xed\xa0\x80").size(), 9u);
  EXPECT_EQ(OneLine("\xf4\x90\x80\x80").size(), 12u);
}

TEST(Text, PutsEverythingOnOneLine) {
  EXPECT_EQ(OneLine(std::string_view("a\nb\r\tc\0d\x1b[e\x7f\xc2\x85", 14)),
            "a b  c d [e  ");
}

TEST(Text, EscapesHtml) {
  EXPECT_EQ(HtmlText("<a href=\"'&\">"), "&lt;a href=&#34;&#39;&amp;&#34;&gt;");
}

TEST(Text, CutsBetweenCharacters) {
  EXPECT_EQ(Shortened("日本", 6), "日本");
  EXPECT_EQ(Shortened("日本", 5), "日…");
  EXPECT_EQ(Shortened("日本", 2), "…");
  EXPECT_EQ(Shortened("abc", 2), "ab…");
}

}  // namespace
}  // namespace pprofd
