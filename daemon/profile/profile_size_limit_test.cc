#include "daemon/profile/profile_size_limit.h"

#include <gtest/gtest.h>

#include <numeric>

#include "daemon/profile/pprof_encoder.h"
#include "daemon/profile/string_table.h"

namespace pprofd {
namespace {

// `count` samples of different weight in `processes` processes, each with two
// frames of its own.
Profile MakeProfile(size_t count, int64_t processes) {
  Profile profile;
  StringTable strings;
  StringIndex pid = strings.Add("pid");
  StringIndex unit = strings.Add("count");
  profile.sample_types = {{strings.Add("samples"), unit},
                          {strings.Add("cpu"), strings.Add("nanoseconds")}};
  profile.mappings.push_back({.start = 0x1000,
                              .limit = 0x100000000,
                              .filename = strings.Add("/bin/x")});
  for (size_t i = 0; i < count; ++i) {
    StringIndex name = strings.Add("function_" + std::to_string(i));
    profile.functions.push_back({.name = name, .system_name = name});
    for (uint64_t j = 0; j < 2; ++j) {
      profile.locations.push_back(
          {.mapping = 0,
           .address = 0x1000 + i * 64 + j,
           .lines = {{.function = static_cast<uint32_t>(i), .line = 5}}});
    }
    auto value = static_cast<int64_t>(i + 1);
    profile.samples.push_back(
        {.locations = {static_cast<uint32_t>(2 * i),
                       static_cast<uint32_t>(2 * i + 1)},
         .values = {value, value * 1000},
         .labels = {{.key = pid,
                     .num = static_cast<int64_t>(i) % processes,
                     .num_unit = pid}}});
  }
  profile.strings = std::move(strings).Take();
  return profile;
}

int64_t Sum(const Profile& profile) {
  return std::accumulate(
      profile.samples.begin(), profile.samples.end(), int64_t{0},
      [](int64_t sum, const ProfileSample& s) { return sum + s.values[0]; });
}

TEST(ProfileSizeLimit, LeavesSmallProfilesAlone) {
  Profile profile = MakeProfile(100, 5);
  EXPECT_EQ(LimitSize(profile, SizeLimit()), 0u);
  EXPECT_EQ(profile.samples.size(), 100u);
  EXPECT_TRUE(profile.comments.empty());
}

TEST(ProfileSizeLimit, KeepsTheHeaviestStacksAndAllSums) {
  Profile profile = MakeProfile(1000, 5);
  int64_t before = Sum(profile);
  size_t folded = LimitSize(profile, {.max_samples = 100});
  EXPECT_EQ(folded, 905u);
  EXPECT_EQ(profile.samples.size(), 100u);
  EXPECT_EQ(Sum(profile), before);
  EXPECT_EQ(profile.samples[94].values[0], 1000);
  EXPECT_EQ(profile.samples[0].values[0], 906);
  const ProfileSample& rest = profile.samples.back();
  ASSERT_EQ(rest.locations.size(), 1u);
  EXPECT_EQ(rest.labels.size(), 1u);
  const ProfileLocation& location = profile.locations[rest.locations[0]];
  EXPECT_EQ(profile.strings[profile.functions[location.lines[0].function].name],
            "[truncated: profile size limit]");
  EXPECT_EQ(profile.locations.size(), 95u * 2 + 1);
  EXPECT_EQ(profile.comments.size(), 1u);
  Status status = CheckValid(profile);
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(ProfileSizeLimit, StaysBelowTheBytesAllowed) {
  for (size_t max_bytes : {20'000u, 50'000u, 100'000u}) {
    Profile profile = MakeProfile(3000, 7);
    int64_t before = Sum(profile);
    EXPECT_GT(LimitSize(profile, {.max_bytes = max_bytes}), 0u);
    auto bytes = SerializePprof(profile);
    ASSERT_TRUE(bytes.ok()) << bytes.status().message();
    EXPECT_LE(bytes->size(), max_bytes);
    EXPECT_GT(bytes->size(), max_bytes / 2);
    EXPECT_EQ(Sum(profile), before);
  }
}

TEST(ProfileSizeLimit, FoldsAllIntoOneWhenThereAreTooManyProcesses) {
  Profile profile = MakeProfile(1000, 1000);
  int64_t before = Sum(profile);
  LimitSize(profile, {.max_samples = 100});
  EXPECT_EQ(profile.samples.size(), 100u);
  EXPECT_TRUE(profile.samples.back().labels.empty());
  EXPECT_EQ(Sum(profile), before);
}

}  // namespace
}  // namespace pprofd
