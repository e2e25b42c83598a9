#include "daemon/profile/pprof_encoder.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "proto/profile.pb.h"

namespace pprofd {
namespace {

Profile SmallProfile() {
  Profile profile;
  profile.strings = {"",       "samples", "count", "cpu", "nanoseconds",
                     "/bin/x", "f()",     "_Z1fv", "tid", "note"};
  profile.sample_types = {{1, 2}, {3, 4}};
  profile.period_type = {3, 4};
  profile.period = 10'000'000;
  profile.time_ns = 5;
  profile.duration_ns = 6;
  profile.mappings = {
      {.start = 0x1000, .limit = 0x2000, .filename = 5, .has_functions = true}};
  profile.functions = {{.name = 6, .system_name = 7}};
  profile.locations = {{.mapping = 0,
                        .address = 0x1100,
                        .lines = {{.function = 0, .line = 3, .column = 9}}},
                       {.mapping = 0, .address = 0x1200, .lines = {}}};
  profile.samples = {{.locations = {0, 1},
                      .values = {2, 20'000'000},
                      .labels = {{.key = 8, .num = 0, .num_unit = 8}}}};
  profile.comments = {9};
  return profile;
}

TEST(PprofEncoder, WritesOneGzipMember) {
  auto encoded = EncodePprof(SmallProfile());
  ASSERT_TRUE(encoded.ok());
  EXPECT_EQ(encoded->substr(0, 2), "\x1f\x8b");
  std::string plain(4096, '\0');
  z_stream stream{};
  ASSERT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(encoded->data());
  stream.avail_in = static_cast<uInt>(encoded->size());
  stream.next_out = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  EXPECT_EQ(stream.avail_in, 0u);
  plain.resize(stream.total_out);
  inflateEnd(&stream);
  EXPECT_EQ(plain, *SerializePprof(SmallProfile()));
}

TEST(PprofEncoder, NumbersTablesFromOne) {
  perftools::profiles::Profile message;
  ASSERT_TRUE(message.ParseFromString(*SerializePprof(SmallProfile())));
  EXPECT_EQ(message.mapping(0).id(), 1u);
  EXPECT_EQ(message.location(0).id(), 1u);
  EXPECT_EQ(message.location(1).id(), 2u);
  EXPECT_EQ(message.location(1).mapping_id(), 1u);
  EXPECT_EQ(message.function(0).id(), 1u);
  EXPECT_EQ(message.location(0).line(0).function_id(), 1u);
  EXPECT_EQ(message.sample(0).location_id(1), 2u);
  EXPECT_EQ(message.sample(0).label(0).num_unit(), 8);
  EXPECT_EQ(message.string_table(0), "");
}

TEST(PprofEncoder, AcceptsAProfileWithoutSamples) {
  Profile profile = SmallProfile();
  profile.samples.clear();
  EXPECT_TRUE(EncodePprof(profile).ok());
}

TEST(PprofEncoder, RefusesEveryBrokenRule) {
  auto is_refused = [](auto breaks) {
    Profile profile = SmallProfile();
    breaks(profile);
    auto result = EncodePprof(profile);
    return !result.ok() && result.status().code() == StatusCode::kCorrupt;
  };
  using P = Profile;
  EXPECT_TRUE(is_refused([](P& p) { p.strings[0] = "x"; }));
  EXPECT_TRUE(is_refused([](P& p) { p.strings[9] = "cpu"; }));
  EXPECT_TRUE(is_refused([](P& p) { p.strings[9] = "\xff"; }));
  EXPECT_TRUE(is_refused([](P& p) { p.sample_types.clear(); }));
  EXPECT_TRUE(is_refused([](P& p) { p.samples[0].values = {1}; }));
  EXPECT_TRUE(is_refused([](P& p) { p.samples[0].locations = {2}; }));
  EXPECT_TRUE(is_refused([](P& p) { p.samples[0].labels[0].key = 0; }));
  EXPECT_TRUE(is_refused([](P& p) { p.samples[0].labels[0].str = 10; }));
  EXPECT_TRUE(is_refused([](P& p) { p.locations[0].address = 0; }));
  EXPECT_TRUE(is_refused([](P& p) { p.locations[0].address = 0x2000; }));
  EXPECT_TRUE(is_refused([](P& p) { p.locations[0].mapping = 1; }));
  EXPECT_TRUE(is_refused([](P& p) { p.locations[0].lines[0].function = 1; }));
  EXPECT_TRUE(is_refused([](P& p) { p.functions[0].name = 0; }));
  EXPECT_TRUE(is_refused([](P& p) { p.functions[0].filename = 10; }));
  EXPECT_TRUE(is_refused([](P& p) { p.mappings[0].start = 0; }));
  EXPECT_TRUE(is_refused([](P& p) { p.comments = {10}; }));
  EXPECT_TRUE(is_refused([](P& p) { p.period_type.unit = 10; }));
}

}  // namespace
}  // namespace pprofd
