#include "daemon/profile/profile_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "bpf/abi.h"
#include "daemon/profile/fakes_for_test.h"
#include "daemon/profile/pprof_encoder.h"

namespace pprofd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr ProcessKey kApp{7, 100};
constexpr ProcessKey kOther{8, 200};
constexpr int64_t kPeriodNs = 10'000'000;

class ProfileBuilderTest : public testing::Test {
 protected:
  ProfileBuilderTest() {
    modules_.Add(2, "/usr/bin/app");
    modules_.Add(3, "/lib/libx.so");
    modules_.Add(4, "/usr/bin/other");
    processes_.Add(kApp, "app", 2, "/usr/bin/app", 3);
    processes_.Add(kOther, "other", 4, "/usr/bin/other", 3);
    meta_.process = kApp;
    meta_.period = kPeriodNs;
    meta_.start = {1'700'000'000'000'000'000};
    meta_.duration_ns = 1'000'000'000;
  }

  static Frame File(uint32_t module, uint64_t offset, bool is_return = true) {
    return Frame::File(static_cast<ModuleId>(module), {offset}, is_return);
  }

  AggregateRow& AddRow(const ProcessKey& process, std::vector<Frame> stack,
                       int64_t count = 1) {
    aggregate_.stacks.push_back(std::move(stack));
    aggregate_.rows.push_back(
        {.process = process,
         .stack = static_cast<uint32_t>(aggregate_.stacks.size() - 1),
         .values = {count, count * kPeriodNs}});
    aggregate_.samples += count;
    aggregate_.value += count * kPeriodNs;
    return aggregate_.rows.back();
  }

  Profile Build() {
    Profile profile = ProfileBuilder(modules_, processes_, symbols_)
                          .Build(aggregate_, meta_, options_);
    Status status = CheckValid(profile);
    EXPECT_TRUE(status.ok()) << status.message();
    return profile;
  }

  static const std::string& FileOf(const Profile& profile, size_t mapping) {
    return profile.strings[profile.mappings[mapping].filename];
  }
  // Function names of a sample, leaf first, inlined ones included.
  static std::vector<std::string> Names(const Profile& profile,
                                        const ProfileSample& sample) {
    std::vector<std::string> names;
    for (uint32_t index : sample.locations) {
      const ProfileLocation& location = profile.locations[index];
      if (location.lines.empty()) names.push_back("?");
      for (const ProfileLine& line : location.lines) {
        names.push_back(profile.strings[profile.functions[line.function].name]);
      }
    }
    return names;
  }
  static std::vector<std::string> Comments(const Profile& profile) {
    std::vector<std::string> lines;
    for (StringIndex i : profile.comments) lines.push_back(profile.strings[i]);
    return lines;
  }
  static std::string LabelText(const Profile& profile,
                               const ProfileSample& sample,
                               std::string_view key) {
    for (const ProfileLabel& label : sample.labels) {
      if (profile.strings[label.key] != key) continue;
      if (label.str != 0) return profile.strings[label.str];
      EXPECT_EQ(profile.strings[label.num_unit], key);
      return std::to_string(label.num);
    }
    return "none";
  }

  FakeModules modules_;
  FakeProcesses processes_;
  FakeSymbols symbols_;
  Aggregate aggregate_;
  ProfileMeta meta_;
  RenderOptions options_;
};

TEST_F(ProfileBuilderTest, ShowsTheCpuTypesInOrder) {
  Profile profile = Build();
  ASSERT_EQ(profile.sample_types.size(), 2u);
  EXPECT_EQ(profile.strings[profile.sample_types[0].type], "samples");
  EXPECT_EQ(profile.strings[profile.sample_types[0].unit], "count");
  EXPECT_EQ(profile.strings[profile.sample_types[1].type], "cpu");
  EXPECT_EQ(profile.strings[profile.sample_types[1].unit], "nanoseconds");
  EXPECT_EQ(profile.strings[profile.period_type.type], "cpu");
  EXPECT_EQ(profile.period, kPeriodNs);
  EXPECT_EQ(profile.time_ns, meta_.start.ns);
  EXPECT_EQ(profile.duration_ns, meta_.duration_ns);
}

TEST_F(ProfileBuilderTest, ListsTheExecutableFirstEvenWithoutSamples) {
  AddRow(kApp, {File(3, 0x1200, false)});
  Profile profile = Build();
  ASSERT_EQ(profile.mappings.size(), 2u);
  EXPECT_EQ(FileOf(profile, 0), "/usr/bin/app");
  EXPECT_EQ(profile.mappings[0].start, 0x555500001000u);
  EXPECT_EQ(profile.mappings[0].limit, 0x555500009000u);
  EXPECT_EQ(profile.mappings[0].file_offset, 0x1000u);
  EXPECT_EQ(profile.strings[profile.mappings[0].build_id], "0202");
  EXPECT_EQ(FileOf(profile, 1), "/lib/libx.so");
  for (const ProfileMapping& mapping : profile.mappings) {
    EXPECT_TRUE(mapping.has_functions);
  }
}

TEST_F(ProfileBuilderTest, AsksOncePerModuleForSortedDistinctAddresses) {
  AddRow(kApp, {File(3, 0x1500, false), File(2, 0x1300), File(2, 0x1200)});
  AddRow(kApp, {File(3, 0x1400, false), File(2, 0x1200)}, 5);
  Build();
  ASSERT_EQ(symbols_.module_calls.size(), 2u);
  for (const auto& [module, addresses] : symbols_.module_calls) {
    EXPECT_EQ(addresses.size(), 2u);
    EXPECT_TRUE(std::is_sorted(addresses.begin(), addresses.end()));
  }
}

TEST_F(ProfileBuilderTest, AsksForTheMostSampledModuleFirst) {
  AddRow(kApp, {File(2, 0x1500, false)}, 1);
  AddRow(kApp, {File(3, 0x1500, false)}, 5);
  Build();
  ASSERT_EQ(symbols_.module_calls.size(), 2u);
  EXPECT_EQ(symbols_.module_calls[0].first, static_cast<ModuleId>(3));
}

TEST_F(ProfileBuilderTest, ShowsInlinedCallsAsLinesOfOneLocation) {
  AddRow(kApp, {File(2, 0x2010, false), File(2, 0x1200)});
  Profile profile = Build();
  ASSERT_EQ(profile.samples.size(), 1u);
  EXPECT_EQ(profile.samples[0].locations.size(), 2u);
  EXPECT_THAT(Names(profile, profile.samples[0]),
              ElementsAre("m2::inlined", "m2::f402000", "m2::f401100"));
  EXPECT_TRUE(profile.mappings[0].has_inline_frames);
  const ProfileFunction& function = profile.functions[0];
  EXPECT_EQ(profile.strings[function.system_name],
            "_Z" + profile.strings[function.name]);
  EXPECT_EQ(profile.strings[function.filename], "/src/m2.cc");
  EXPECT_EQ(function.start_line, 3);
}

TEST_F(ProfileBuilderTest, MergesRowsThatMeanTheSame) {
  // A leaf and a call that returns behind it are one place.
  AddRow(kApp, {File(2, 0x1200, false)}, 2);
  AddRow(kApp, {File(2, 0x1201, true)}, 3);
  Profile profile = Build();
  EXPECT_EQ(profile.locations.size(), 1u);
  ASSERT_EQ(profile.samples.size(), 1u);
  EXPECT_THAT(profile.samples[0].values, ElementsAre(5, 5 * kPeriodNs));
}

TEST_F(ProfileBuilderTest, NamesKernelAndJitCode) {
  symbols_.jit_pid = kApp.pid;
  AddRow(kApp, {Frame::Kernel(0xffffffff81001200, false),
                Frame::Address({0x7e0000000000}, true), File(2, 0x1200)});
  Profile profile = Build();
  EXPECT_THAT(Names(profile, profile.samples[0]),
              ElementsAre("k1200", "js:7dffffffffff", "m2::f401100"));
  ASSERT_EQ(profile.mappings.size(), 3u);
  EXPECT_EQ(FileOf(profile, 1), "[jit]");
  EXPECT_EQ(FileOf(profile, 2), "[kernel.kallsyms]");
}

TEST_F(ProfileBuilderTest, KeepsUnresolvedLocationsFlaggedAndCounted) {
  AddRow(kApp, {Frame::Address({0x7e0000000000}, false)});
  Profile profile = Build();
  EXPECT_THAT(Names(profile, profile.samples[0]), ElementsAre("?"));
  EXPECT_TRUE(profile.mappings[1].has_functions);
  EXPECT_THAT(Comments(profile), Contains("unresolved locations: 1 of 1"));
}

TEST_F(ProfileBuilderTest, SaysWhyAStackIsCut) {
  AddRow(kApp, {File(2, 0x1200, false), Frame::Reason(1, ModuleId{3})});
  AddRow(kApp, {File(2, 0x1300, false), Frame::Reason(4, ModuleId::kNone)});
  aggregate_.truncated = 2;
  aggregate_.reasons = {{1, 1}, {4, 1}};
  Profile profile = Build();
  std::set<std::string> roots;
  for (const ProfileSample& sample : profile.samples) {
    roots.insert(Names(profile, sample).back());
  }
  EXPECT_THAT(roots, ElementsAre("[truncated: no unwind rows for libx.so]",
                                 "[truncated: stack memory not readable]"));
  EXPECT_EQ(FileOf(profile, 1), "[pprofd]");
  EXPECT_THAT(Comments(profile), Contains("truncated: no unwind rows: 1"));
  EXPECT_THAT(Comments(profile), Contains("unresolved locations: 0 of 2"));
}

TEST_F(ProfileBuilderTest, LeavesOutTheKernelWhenAsked) {
  options_.include_kernel = false;
  AddRow(kApp, {Frame::Kernel(0xffffffff81001200, false), File(2, 0x1200)});
  AddRow(kApp, {Frame::Kernel(0xffffffff81001200, false)});
  Profile profile = Build();
  std::set<std::vector<std::string>> stacks;
  for (const ProfileSample& sample : profile.samples) {
    stacks.insert(Names(profile, sample));
  }
  EXPECT_THAT(stacks,
              ElementsAre(ElementsAre("[kernel]"), ElementsAre("m2::f401100")));
}

TEST_F(ProfileBuilderTest, ShowsLostSamplesOfACaptureAsASample) {
  AddRow(kApp, {File(2, 0x1200, false)});
  aggregate_.lost = {{PPROFD_REASON_CAPTURE_FULL, 4},
                     {PPROFD_REASON_RING_FULL, 2}};
  Profile profile = Build();
  ASSERT_EQ(profile.samples.size(), 2u);
  EXPECT_THAT(Names(profile, profile.samples[1]),
              ElementsAre("[lost samples]"));
  EXPECT_THAT(profile.samples[1].values, ElementsAre(4, 4 * kPeriodNs));
  EXPECT_THAT(Comments(profile),
              Contains("samples lost, of any process: 6 (ring buffer full 2, "
                       "capture buffer full 4)"));
}

TEST_F(ProfileBuilderTest, ShowsNoLabelsOfOneProcessUnlessAsked) {
  AggregateRow& row = AddRow(kApp, {File(2, 0x1200, false)});
  row.tid = 9;
  row.cpu = 0;
  row.cgroup_id = 42;
  row.comm = {'w', '1'};
  EXPECT_THAT(Build().samples[0].labels, IsEmpty());
  options_.labels = {"tid", "cpu", "comm", "thread", "pid", "cgroup"};
  Profile profile = Build();
  const ProfileSample& sample = profile.samples[0];
  EXPECT_EQ(LabelText(profile, sample, "tid"), "9");
  EXPECT_EQ(LabelText(profile, sample, "cpu"), "0");
  EXPECT_EQ(LabelText(profile, sample, "comm"), "w1");
  EXPECT_EQ(LabelText(profile, sample, "thread"), "w1");
  EXPECT_EQ(LabelText(profile, sample, "pid"), "7");
  EXPECT_EQ(LabelText(profile, sample, "cgroup"), "42");
  AggregateFields fields = FieldsFor(options_);
  EXPECT_TRUE(fields.tid && fields.cpu && fields.comm && fields.cgroup);
}

TEST_F(ProfileBuilderTest, SharesModulesBetweenProcessesOfTheHost) {
  meta_.process.reset();
  AddRow(kApp, {File(3, 0x1200, false)});
  AddRow(kOther, {File(3, 0x1200, false)}, 9);
  Profile profile = Build();
  EXPECT_EQ(FileOf(profile, 0), "/usr/bin/other");
  EXPECT_EQ(profile.locations.size(), 1u);
  ASSERT_EQ(profile.samples.size(), 2u);
  EXPECT_EQ(LabelText(profile, profile.samples[0], "pid"), "7");
  EXPECT_EQ(LabelText(profile, profile.samples[0], "comm"), "app");
  EXPECT_EQ(LabelText(profile, profile.samples[1], "comm"), "other");
}

TEST_F(ProfileBuilderTest, KeepsJitCodeOfTwoProcessesApart) {
  meta_.process.reset();
  symbols_.jit_pid = kApp.pid;
  AddRow(kApp, {Frame::Address({0x7000}, false)});
  AddRow(kOther, {Frame::Address({0x7000}, false)});
  Profile profile = Build();
  EXPECT_EQ(profile.locations.size(), 2u);
  EXPECT_THAT(Names(profile, profile.samples[0]), ElementsAre("js:7000"));
  EXPECT_THAT(Names(profile, profile.samples[1]), ElementsAre("?"));
}

TEST_F(ProfileBuilderTest, PutsTheCallersCommentsFirst) {
  meta_.comments = {"pid 7 comm=app exe=/usr/bin/app"};
  EXPECT_EQ(Comments(Build())[0], meta_.comments[0]);
}

TEST_F(ProfileBuilderTest, SaysThatNamesCameTooLate) {
  AddRow(kApp, {Frame::Address({0x7e0000000000}, false)});
  meta_.symbolize_deadline = SymbolSource::Deadline();
  EXPECT_THAT(Comments(Build()), Contains(HasSubstr("deadline")));
}

TEST_F(ProfileBuilderTest, GivesEqualBytesForEqualInputInAnyOrder) {
  for (uint64_t i = 0; i < 50; ++i) {
    AddRow(kApp, {File(2, 0x1100 + i * 16, false), File(3, 0x1200 + i % 7)});
  }
  auto first = EncodePprof(Build());
  std::reverse(aggregate_.rows.begin(), aggregate_.rows.end());
  auto second = EncodePprof(Build());
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(*first, *second);
}

}  // namespace
}  // namespace pprofd
