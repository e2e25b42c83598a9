#include "daemon/server/profile_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pprofd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr WallTime kNow{1'700'000'000'000'000'000};

Result<ProfileParams> Parse(std::string_view query) {
  return ParseProfileParams(Query::Parse(query), 7, kNow, {});
}

TEST(ProfileParams, HasTheDefaultsOfTheContract) {
  Result<ProfileParams> params = Parse("");
  ASSERT_TRUE(params.ok());
  EXPECT_EQ(params->seconds, 30);
  EXPECT_EQ(params->capture.pid, 7);
  EXPECT_EQ(params->capture.hz, 99u);
  EXPECT_FALSE(params->history);
  EXPECT_EQ(params->render.format, ProfileFormat::kPprof);
  EXPECT_EQ(params->render.demangle, DemangleStyle::kShort);
  EXPECT_TRUE(params->render.include_kernel);
  EXPECT_EQ(params->render.only_tid, 0);
  EXPECT_THAT(params->render.labels, IsEmpty());
}

TEST(ProfileParams, ReadsOddSecondsAsThirty) {
  for (const char* seconds :
       {"seconds=", "seconds=0", "seconds=-5", "seconds=abc", "seconds=1.5",
        "seconds=0x1", "seconds=1e0", "seconds=+1", "seconds=%201"}) {
    EXPECT_EQ(Parse(seconds)->seconds, 30) << seconds;
  }
  EXPECT_EQ(Parse("seconds=%2B1")->seconds, 1);
  EXPECT_EQ(Parse("seconds=2&seconds=9")->seconds, 2);
}

TEST(ProfileParams, CapsSeconds) {
  EXPECT_TRUE(Parse("seconds=3600").ok());
  EXPECT_THAT(Parse("seconds=3601").status().message(),
              HasSubstr("at most 3600"));
  EXPECT_EQ(ParseProfileParams(Query(), 0, kNow, {.max_seconds = 10})->seconds,
            10);
}

TEST(ProfileParams, RefusesMalformedParametersOfOurOwn) {
  for (const char* query : {"hz=0",
                            "hz=1001",
                            "hz=x",
                            "hz=-1",
                            "tid=0",
                            "tid=x",
                            "kernel=2",
                            "kernel=yes",
                            "demangle=all",
                            "format=svg",
                            "format=PPROF",
                            "labels=nope",
                            "labels=tid,",
                            "labels=,tid",
                            "unit=ns",
                            "format=collapsed&unit=s",
                            "from=x",
                            "to=-5s",
                            "from=-5s&to=x",
                            "from=-5s&to=-10s",
                            "from=-5s&to=-5s",
                            "from=1700000001",
                            "from=1700000001&to=1700000002"}) {
    Result<ProfileParams> params = Parse(query);
    EXPECT_EQ(params.status().code(), StatusCode::kInvalid) << query;
  }
}

TEST(ProfileParams, ReadsRenderOptions) {
  EXPECT_EQ(Parse("demangle=none")->render.demangle, DemangleStyle::kNone);
  EXPECT_EQ(Parse("demangle=templates")->render.demangle,
            DemangleStyle::kTemplates);
  EXPECT_EQ(Parse("demangle=default")->render.demangle, DemangleStyle::kShort);
  EXPECT_THAT(Parse("labels=tid,comm,tid")->render.labels,
              ElementsAre("tid", "comm"));
  EXPECT_TRUE(Parse("format=collapsed&unit=ns")->render.unit_is_ns);
  EXPECT_FALSE(Parse("format=collapsed&unit=samples")->render.unit_is_ns);
}

TEST(ProfileParams, EndsHistoryNowUnlessToldOtherwise) {
  Result<ProfileParams> open = Parse("from=-30s");
  EXPECT_EQ(open->history->pid, 7);
  EXPECT_EQ(open->history->from.ns, kNow.ns - 30'000'000'000);
  EXPECT_EQ(open->history->to, kNow);
  EXPECT_EQ(Parse("from=-30s&to=1700000100")->history->to, kNow);
  EXPECT_EQ(Parse("from=-30s&to=-10s")->history->to.ns,
            kNow.ns - 10'000'000'000);
}

Result<SnapshotParams> ParseRss(std::string_view query) {
  return ParseSnapshotParams(Query::Parse(query), 7, ProfileKind::kRss, kNow,
                             {});
}

TEST(SnapshotParams, AskForAllThereIsUnlessToldOtherwise) {
  Result<SnapshotParams> params = ParseRss("");
  ASSERT_TRUE(params.ok());
  EXPECT_FALSE(params->is_delta);
  ASSERT_TRUE(params->profile.history);
  EXPECT_EQ(params->profile.history->kind, ProfileKind::kRss);
  EXPECT_EQ(params->profile.history->pid, 7);
  EXPECT_EQ(params->profile.history->from.ns, 0);
  EXPECT_EQ(params->profile.history->to.ns, kNow.ns);
  EXPECT_EQ(params->profile.render.format, ProfileFormat::kPprof);
}

TEST(SnapshotParams, SecondsWaitForWhatComes) {
  Result<SnapshotParams> params = ParseRss("seconds=5&labels=tid");
  ASSERT_TRUE(params.ok());
  EXPECT_TRUE(params->is_delta);
  EXPECT_EQ(params->profile.seconds, 5);
  EXPECT_EQ(params->profile.capture.kind, ProfileKind::kRss);
  EXPECT_EQ(params->profile.capture.pid, 7);
  EXPECT_THAT(params->profile.render.labels, ElementsAre("tid"));
}

TEST(SnapshotParams, FromNamesAPast) {
  Result<SnapshotParams> params = ParseRss("from=-60s&to=-30s&debug=1");
  ASSERT_TRUE(params.ok());
  EXPECT_EQ(params->profile.history->kind, ProfileKind::kRss);
  EXPECT_EQ(params->profile.history->from.ns, kNow.ns - 60'000'000'000);
  EXPECT_EQ(params->profile.history->to.ns, kNow.ns - 30'000'000'000);
  EXPECT_EQ(params->profile.render.format, ProfileFormat::kText);
  EXPECT_EQ(params->profile.render.demangle, DemangleStyle::kFull);
}

TEST(SnapshotParams, RefuseWhatWouldDoNothing) {
  for (const char* seconds : {"0", "-1", "abc", "1.5"}) {
    EXPECT_EQ(ParseRss(std::string("seconds=") + seconds).status().message(),
              "invalid value for \"seconds\" - must be a positive integer");
  }
  EXPECT_EQ(ParseRss("seconds=1&debug=1").status().message(),
            "seconds and debug params are incompatible");
  EXPECT_EQ(ParseRss("seconds=1&from=-5s").status().message(),
            "seconds and from params are incompatible");
  for (const char* name : {"hz", "rate", "unit", "kernel"}) {
    EXPECT_THAT(ParseRss(std::string(name) + "=1").status().message(),
                HasSubstr("not supported for this profile type"))
        << name;
  }
}

}  // namespace
}  // namespace pprofd
