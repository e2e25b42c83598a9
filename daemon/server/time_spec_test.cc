#include "daemon/server/time_spec.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr WallTime kNow{1'700'000'000 * kSecond};

std::optional<int64_t> Parse(std::string_view text) {
  std::optional<WallTime> time = ParseTimeSpec(text, kNow);
  if (!time) return std::nullopt;
  return time->ns;
}

TEST(TimeSpec, CountsBackFromNow) {
  EXPECT_EQ(Parse("-30s"), kNow.ns - 30 * kSecond);
  EXPECT_EQ(Parse("-5m"), kNow.ns - 300 * kSecond);
  EXPECT_EQ(Parse("-1h30m"), kNow.ns - 5400 * kSecond);
  EXPECT_EQ(Parse("-2d"), kNow.ns - 172'800 * kSecond);
  EXPECT_EQ(Parse("-1.5s"), kNow.ns - 3 * kSecond / 2);
  EXPECT_EQ(Parse("-0s"), kNow.ns);
}

TEST(TimeSpec, ReadsUnixSeconds) {
  EXPECT_EQ(Parse("1700000000"), kNow.ns);
  EXPECT_EQ(Parse("1700000000.25"), kNow.ns + kSecond / 4);
  EXPECT_EQ(Parse("0.0000000019"), 1);
}

TEST(TimeSpec, ReadsRfc3339) {
  EXPECT_EQ(Parse("2023-11-14T22:13:20Z"), kNow.ns);
  EXPECT_EQ(Parse("2023-11-14t22:13:20.5z"), kNow.ns + kSecond / 2);
  EXPECT_EQ(Parse("2023-11-15T00:13:20+02:00"), kNow.ns);
  EXPECT_EQ(Parse("2023-11-15T00:13:20 02:00"), kNow.ns);
  EXPECT_EQ(Parse("2023-11-14T20:43:20-01:30"), kNow.ns);
  EXPECT_EQ(Parse("1970-01-01T00:00:00Z"), 0);
}

TEST(TimeSpec, RefusesEverythingElse) {
  for (const char* text : {"",
                           "-",
                           "-30",
                           "-s",
                           "-30x",
                           "-30s ",
                           "--30s",
                           "-99999999999999h",
                           "-9999999999d",
                           "30s",
                           "+30s",
                           "yesterday",
                           "1.",
                           "1e9",
                           "99999999999",
                           "9999999999",
                           "2023-11-14",
                           "2023-11-14T22:13:20",
                           "2023-11-14 22:13:20Z",
                           "2023-02-30T00:00:00Z",
                           "2023-13-01T00:00:00Z",
                           "2023-11-14T24:00:00Z",
                           "2023-11-14T22:13:60Z",
                           "2023-11-14T22:13:20.Z",
                           "2023-11-14T22:13:20+2:00",
                           "2023-11-14T22:13:20+02:00x",
                           "1969-12-31T23:59:59Z",
                           "9999-12-31T23:59:59Z"}) {
    EXPECT_FALSE(Parse(text)) << text;
  }
}

}  // namespace
}  // namespace pprofd
