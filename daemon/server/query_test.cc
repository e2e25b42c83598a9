#include "daemon/server/query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

namespace pprofd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Query, DecodesEscapesAndBlanks) {
  Query query = Query::Parse("a=1%2B2&b=x+y&%63=%C3%A9&d");
  EXPECT_EQ(query.Get("a"), "1+2");
  EXPECT_EQ(query.Get("b"), "x y");
  EXPECT_EQ(query.Get("c"), "\xc3\xa9");
  EXPECT_EQ(query.Get("d"), "");
  EXPECT_EQ(query.Get("none"), "");
}

TEST(Query, TakesTheFirstOfRepeatedValues) {
  EXPECT_EQ(Query::Parse("s=1&s=9").Get("s"), "1");
  EXPECT_EQ(Query::Parse("s=&s=9").Get("s"), "");
}

TEST(Query, DropsPairsWithSemicolonsOrBadEscapes) {
  Query query = Query::Parse("pid=7;seconds=3&hz=%zz&hz=%1&tid=5&hz=9");
  EXPECT_EQ(query.Get("pid"), "");
  EXPECT_EQ(query.Get("seconds"), "");
  EXPECT_EQ(query.Get("tid"), "5");
  EXPECT_EQ(query.Get("hz"), "9");
}

TEST(RequestTarget, SplitsPathAndQuery) {
  auto target = ParseTarget("/debug/%70prof/?a=b?c#f");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/debug/pprof/");
  EXPECT_EQ(target->raw_path, "/debug/%70prof/");
  EXPECT_EQ(target->raw_query, "a=b?c");
  EXPECT_EQ(target->query.Get("a"), "b?c");
  EXPECT_EQ(target->clean_location, "");
}

TEST(RequestTarget, RefusesWhatIsNoPath) {
  EXPECT_FALSE(ParseTarget(""));
  EXPECT_FALSE(ParseTarget("*"));
  EXPECT_FALSE(ParseTarget("debug"));
  EXPECT_FALSE(ParseTarget("/%4"));
  EXPECT_FALSE(ParseTarget("/%zz"));
}

TEST(RequestTarget, RedirectsUncleanPathsToCleanOnes) {
  auto location = [](std::string_view target) {
    return ParseTarget(target)->clean_location;
  };
  EXPECT_EQ(location("/debug/pprof//heap"), "/debug/pprof/heap");
  EXPECT_EQ(location("//debug/pprof//?pid=7"), "/debug/pprof/?pid=7");
  EXPECT_EQ(location("/a/./b/../c"), "/a/c");
  EXPECT_EQ(location("/../.."), "/");
  EXPECT_EQ(location("//evil.example/%2f"), "/evil.example/%2f");
  EXPECT_EQ(location("/"), "");
  EXPECT_EQ(location("/debug/pprof/"), "");
}

TEST(GoInt, FollowsStrconv) {
  EXPECT_EQ(ParseGoInt("01"), 1);
  EXPECT_EQ(ParseGoInt("+5"), 5);
  EXPECT_EQ(ParseGoInt("-5"), -5);
  EXPECT_EQ(ParseGoInt("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(ParseGoInt("99999999999999999999999"), INT64_MAX);
  EXPECT_EQ(ParseGoInt("-9223372036854775808"), INT64_MIN);
  for (const char* text :
       {"", "+", "-", " 1", "1 ", "1.5", "0x1", "1e0", "abc", "+-1", "1_0"}) {
    EXPECT_FALSE(ParseGoInt(text)) << text;
  }
}

TEST(GoInt, BoundsPids) {
  EXPECT_EQ(ParsePid("1"), 1);
  EXPECT_EQ(ParsePid("4194304"), 4194304);
  EXPECT_FALSE(ParsePid("4194305"));
  EXPECT_FALSE(ParsePid("0"));
  EXPECT_FALSE(ParsePid("-3"));
}

TEST(GoInt, ReadsBadDebugLevelsAsZero) {
  EXPECT_EQ(DebugLevel(Query::Parse("debug=2")), 2);
  EXPECT_EQ(DebugLevel(Query::Parse("debug=01")), 1);
  EXPECT_EQ(DebugLevel(Query::Parse("debug=true")), 0);
  EXPECT_EQ(DebugLevel(Query::Parse("debug=-1")), 0);
  EXPECT_EQ(DebugLevel(Query::Parse("")), 0);
}

TEST(Addresses, SkipsWhatIsNone) {
  EXPECT_THAT(ParseAddresses("0x1F+16+zzz+-1+0x++0xffffffffffffffff"),
              ElementsAre(0x1f, 16, UINT64_MAX));
  EXPECT_THAT(ParseAddresses("pid=7&0x10\r\n"), ElementsAre(0x10));
  EXPECT_THAT(ParseAddresses("0x10000000000000000"), IsEmpty());
  EXPECT_THAT(ParseAddresses(""), IsEmpty());
}

TEST(PprofRoute, LeadsBothFormsToTheSameName) {
  using Kind = PprofRoute::Kind;
  PprofRoute route = ParseRoute("/debug/pprof/profile");
  EXPECT_EQ(route.kind, Kind::kEndpoint);
  EXPECT_EQ(route.name, "profile");
  EXPECT_FALSE(route.path_pid);
  route = ParseRoute("/pid/42/debug/pprof/");
  EXPECT_EQ(route.kind, Kind::kEndpoint);
  EXPECT_EQ(route.name, "");
  EXPECT_EQ(route.path_pid, "42");
  EXPECT_EQ(ParseRoute("/pprof/symbol").name, "symbol");
  EXPECT_EQ(ParseRoute("/pid/1/debug/pprof").kind, Kind::kSlashless);
  for (const char* path : {"/", "/pprof", "/pprof/", "/debug", "/debug/",
                           "/debug/pprofx", "/pid/1", "/pid/", "/pid"}) {
    EXPECT_EQ(ParseRoute(path).kind, Kind::kOther) << path;
  }
}

}  // namespace
}  // namespace pprofd
