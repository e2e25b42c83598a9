// What `go tool pprof` and `protoc --decode` make of an encoded profile; each
// part is skipped, aloud, where its tool is not installed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>

#include "daemon/profile/fakes_for_test.h"
#include "daemon/profile/pprof_encoder.h"
#include "daemon/profile/profile_builder.h"

namespace pprofd {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr ProcessKey kApp{7, 100};

class PprofToolTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/pprofd_tool_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { Run("rm -rf '" + directory_ + "'"); }

  // The output of a shell command, errors included.
  static std::string Run(const std::string& command) {
    std::string output;
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return output;
    std::array<char, 4096> buffer;
    size_t bytes;
    while ((bytes = fread(buffer.data(), 1, buffer.size(), pipe)) > 0) {
      output.append(buffer.data(), bytes);
    }
    pclose(pipe);
    return output;
  }
  std::string Write(const std::string& name, const std::string& bytes) {
    std::string path = directory_ + "/" + name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::string Pprof(const std::string& arguments) {
    return Run("HOME='" + directory_ + "' " + go_ + " tool pprof " + arguments);
  }
  bool FindGo() {
    for (const char* go : {"/usr/lib/go-1.19/bin/go", "/usr/bin/go"}) {
      if (access(go, X_OK) == 0) go_ = go;
      if (!go_.empty()) return true;
    }
    return false;
  }

  static Profile MakeProfile() {
    FakeModules modules;
    modules.Add(2, "/nowhere/app");
    FakeProcesses processes;
    processes.Add(kApp, "app", 2, "/nowhere/app", 2);
    FakeSymbols symbols;
    Aggregate aggregate;
    auto file = [](uint64_t offset, bool is_return) {
      return Frame::File(ModuleId{2}, {offset}, is_return);
    };
    aggregate.stacks = {{Frame::Kernel(0xffffffff81001200, false),
                         file(0x2010, true), file(0x1200, true)},
                        {Frame::Address({0x7000}, false), file(0x1200, true),
                         Frame::Reason(1, ModuleId{2})}};
    aggregate.rows = {
        {.process = kApp, .tid = 9, .stack = 0, .values = {3, 30}},
        {.process = kApp, .tid = 0, .stack = 1, .values = {1, 10}}};
    ProfileMeta meta{.start = {1'700'000'000'000'000'000},
                     .duration_ns = 1'000'000'000,
                     .period = 10,
                     .process = kApp,
                     .comments = {"pid 7 comm=app exe=/nowhere/app"}};
    RenderOptions options;
    options.labels = {"tid"};
    return ProfileBuilder(modules, processes, symbols)
        .Build(aggregate, meta, options);
  }

  std::string directory_;
  std::string go_;
};

TEST_F(PprofToolTest, GoReadsItWithoutLookingForSymbols) {
  if (!FindGo()) GTEST_SKIP() << "no go tool on this machine";
  std::string path = Write("cpu.pb.gz", *EncodePprof(MakeProfile()));
  std::string raw = Pprof("-raw " + path);
  EXPECT_THAT(raw, HasSubstr("PeriodType: cpu nanoseconds"));
  EXPECT_THAT(raw, HasSubstr("samples/count cpu/nanoseconds"));
  EXPECT_THAT(raw, HasSubstr("1: 0x555500001000/0x555500009000/0x1000 "
                             "/nowhere/app 0202 [FN]"));
  EXPECT_THAT(raw, HasSubstr("[kernel.kallsyms]"));
  std::string top = Pprof("-top " + path);
  EXPECT_THAT(top, HasSubstr("k1200"));
  EXPECT_THAT(top, HasSubstr("m2::inlined (inline)"));
  EXPECT_THAT(top, HasSubstr("[truncated: no unwind rows for app]"));
  EXPECT_THAT(top, HasSubstr("[[jit]]"));
  EXPECT_THAT(top, Not(HasSubstr("Local symbolization")));
  EXPECT_THAT(top, Not(HasSubstr("Main binary")));
  EXPECT_THAT(Pprof("-comments " + path), HasSubstr("pid 7 comm=app"));
  std::string tags = Pprof("-tags " + path);
  EXPECT_THAT(tags, HasSubstr("(75.00%): 9\n"));
  EXPECT_THAT(tags, HasSubstr("(25.00%): 0\n"));
  std::string bogus = Pprof("-sample_index=bogus -top " + path);
  EXPECT_THAT(bogus, HasSubstr("samples"));
  EXPECT_THAT(bogus, HasSubstr("cpu"));
}

TEST_F(PprofToolTest, GoReadsAProfileWithoutSamples) {
  if (!FindGo()) GTEST_SKIP() << "no go tool on this machine";
  Profile profile = MakeProfile();
  profile.samples.clear();
  std::string path = Write("empty.pb.gz", *EncodePprof(profile));
  EXPECT_THAT(Pprof("-top " + path + " && echo fine"), HasSubstr("fine"));
}

TEST_F(PprofToolTest, GoWritesTheSameSamplesAgain) {
  if (!FindGo()) GTEST_SKIP() << "no go tool on this machine";
  std::string path = Write("cpu.pb.gz", *EncodePprof(MakeProfile()));
  std::string copy = directory_ + "/copy.pb.gz";
  Pprof("-proto -output " + copy + " " + path);
  std::string raw = Pprof("-raw " + path);
  EXPECT_FALSE(raw.empty());
  EXPECT_EQ(Pprof("-raw " + copy), raw);
}

TEST_F(PprofToolTest, ProtocKnowsEveryField) {
  if (Run("command -v protoc").empty()) {
    GTEST_SKIP() << "no protoc on this machine";
  }
  std::string path = Write("cpu.pb", *SerializePprof(MakeProfile()));
  std::string raw = Run("protoc --decode_raw < " + path + " | head -1");
  ASSERT_THAT(raw, HasSubstr("1 {"));
  std::string text =
      Run("protoc --decode=perftools.profiles.Profile -I " +
          std::string(PPROFD_PROTO_DIR) + " profile.proto < " + path);
  EXPECT_THAT(text, HasSubstr("string_table: \"\"\n"));
  EXPECT_THAT(text, Not(testing::ContainsRegex("(^|\n) *[0-9]+[:]")));
}

}  // namespace
}  // namespace pprofd
