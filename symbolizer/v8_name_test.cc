#include "symbolizer/v8_name.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

TEST(V8Name, SplitsFunctionFileAndLine) {
  for (const char* text :
       {"JS:*leaf /srv/app.js:4:15", "JS:^leaf /srv/app.js:4:15",
        "JS:~leaf /srv/app.js:4:15", "LazyCompile:*leaf /srv/app.js:4:15"}) {
    auto name = ParseV8Name(text);
    ASSERT_TRUE(name.has_value()) << text;
    EXPECT_EQ(name->function, "leaf");
    EXPECT_EQ(name->file, "/srv/app.js");
    EXPECT_EQ(name->line, 4u);
  }
}

TEST(V8Name, KeepsBlanksOfNamesAndPaths) {
  auto name = ParseV8Name("JS:*get size /srv/my app/a b.js:7:1");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->function, "get size");
  EXPECT_EQ(name->file, "/srv/my app/a b.js");
}

TEST(V8Name, KnowsUrls) {
  auto module = ParseV8Name("JS:*f file:///srv/app.mjs:7:1");
  ASSERT_TRUE(module.has_value());
  EXPECT_EQ(module->file, "file:///srv/app.mjs");
  auto internal = ParseV8Name("JS:^setImmediate node:timers:235:22");
  ASSERT_TRUE(internal.has_value());
  EXPECT_EQ(internal->function, "setImmediate");
  EXPECT_EQ(internal->file, "node:timers");
  EXPECT_EQ(internal->line, 235u);
}

TEST(V8Name, NamesTheNameless) {
  auto function = ParseV8Name("JS:* /srv/app.js:18:22");
  ASSERT_TRUE(function.has_value());
  EXPECT_EQ(function->function, "(anonymous)");
  auto script = ParseV8Name("Script:~ /srv/app.js:1:1");
  ASSERT_TRUE(script.has_value());
  EXPECT_EQ(script->function, "(script)");
}

TEST(V8Name, LeavesOtherNamesAlone) {
  for (const char* text :
       {"", "JS:", "JS:*", "JS:*f", "JS:*f:1:2", "JS:*f /a.js", "JS:*f /a.js:4",
        "JS:*f /a.js:4:", "JS:*f :1:2", "JS:*f /a.js:99999999999:1",
        "Builtin:ArrayMap", "java.lang.String::hashCode", "RegExp:a b:1:2"}) {
    EXPECT_FALSE(ParseV8Name(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace pprofd
