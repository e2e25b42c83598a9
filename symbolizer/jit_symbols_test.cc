#include "symbolizer/jit_symbols.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

TEST(JitSymbols, ShowsJavaScriptByItsOwnName) {
  SymbolLine line =
      JitSymbolLine("JS:*leaf file:///srv/app.mjs:4:15", "file:///srv/app.mjs",
                    6, DemangleStyle::kShort);
  EXPECT_EQ(line.name, "leaf");
  EXPECT_EQ(line.system_name, "JS:*leaf file:///srv/app.mjs:4:15");
  EXPECT_EQ(line.file, "/srv/app.mjs");
  EXPECT_EQ(line.line, 6);
  EXPECT_EQ(line.start_line, 4);
}

TEST(JitSymbols, KnowsTheFileOfJavaScriptWithoutLines) {
  SymbolLine line =
      JitSymbolLine("JS:^leaf /srv/app.js:4:15", "", 0, DemangleStyle::kFull);
  EXPECT_EQ(line.name, "leaf");
  EXPECT_EQ(line.file, "/srv/app.js");
  EXPECT_EQ(line.line, 0);
  EXPECT_EQ(line.start_line, 4);
}

TEST(JitSymbols, LeavesTheLineOfAnInlinedCallInItsFile) {
  SymbolLine line = JitSymbolLine("JS:*leaf /srv/app.js:4:15", "/srv/lib.js",
                                  90, DemangleStyle::kShort);
  EXPECT_EQ(line.file, "/srv/lib.js");
  EXPECT_EQ(line.line, 90);
  EXPECT_EQ(line.start_line, 0);
}

TEST(JitSymbols, ShowsNamesAsWrittenWhenAskedTo) {
  EXPECT_EQ(JitSymbolLine("JS:^f /a.js:4:15", "", 0, DemangleStyle::kNone).name,
            "JS:^f /a.js:4:15");
  EXPECT_EQ(JitSymbolLine("_ZN1a1bEv", "", 0, DemangleStyle::kNone).name,
            "_ZN1a1bEv");
}

TEST(JitSymbols, DemanglesOtherNames) {
  SymbolLine line =
      JitSymbolLine("_ZN1a1bEv", "/a.cc", 3, DemangleStyle::kShort);
  EXPECT_EQ(line.name, "a::b");
  EXPECT_EQ(line.system_name, "_ZN1a1bEv");
  EXPECT_EQ(line.file, "/a.cc");
  EXPECT_EQ(line.start_line, 0);
}

}  // namespace
}  // namespace pprofd
