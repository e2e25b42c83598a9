#include "daemon/profile/heap_text_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "daemon/profile/heap_aggregate.h"
#include "daemon/profile/string_table.h"

namespace pprofd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr uint64_t kPeriod = 524'288;
constexpr char kMaps[] =
    "555500001000-555500009000 r-xp 00001000 fe:00 7  /bin/x\n"
    "7f0000001000-7f0000009000 r-xp 00001000 fe:00 8 /lib/liby.so\n";

struct Call {
  std::string function;
  std::string file;
  int64_t line = 0;
};

class HeapTextEncoderTest : public testing::Test {
 protected:
  HeapTextEncoderTest() {
    trailer_.executable_maps = kMaps;
    trailer_.memory = MemoryStats{.sys = 1000,
                                  .heap_sys = 600,
                                  .heap_inuse = 250,
                                  .stack_sys = 100,
                                  .stack_inuse = 40,
                                  .other_sys = 300,
                                  .max_rss = 700,
                                  .figures = {{.name = "VmRSS", .value = 512},
                                              {.name = "Threads", .value = 3}}};
    trailer_.totals = {.allocs = 9, .alloc_bytes = 9000, .frees = 4};
    trailer_.live = {.objects = 5, .bytes = 5000};
  }

  uint32_t Location(uint64_t address, const std::vector<Call>& calls,
                    const std::string& mapping = "/bin/x") {
    ProfileLocation location{.address = address, .lines = {}};
    if (!mapping.empty()) {
      location.mapping = static_cast<uint32_t>(profile_.mappings.size());
      profile_.mappings.push_back({.filename = strings_.Add(mapping)});
    }
    for (const Call& call : calls) {
      location.lines.push_back(
          {.function = static_cast<uint32_t>(profile_.functions.size()),
           .line = call.line});
      profile_.functions.push_back({.name = strings_.Add(call.function),
                                    .filename = strings_.Add(call.file)});
    }
    profile_.locations.push_back(std::move(location));
    return static_cast<uint32_t>(profile_.locations.size() - 1);
  }
  void Sample(std::vector<uint32_t> locations, std::vector<int64_t> values) {
    profile_.samples.push_back({.locations = std::move(locations),
                                .values = std::move(values),
                                .labels = {}});
  }
  std::string Encode(uint64_t period = kPeriod) {
    profile_.sample_types.resize(4);
    profile_.strings = std::move(strings_).Take();
    return EncodeHeapText(profile_, period, trailer_);
  }
  static std::string FirstLine(const std::string& text) {
    return text.substr(0, text.find('\n'));
  }

  Profile profile_;
  StringTable strings_;
  HeapTextTrailer trailer_;
};

TEST_F(HeapTextEncoderTest, PrintsRecordsWithTheirFrames) {
  Sample({Location(0x401000,
                   {{"inner(int)", "/src/a.cc", 7}, {"outer", "/src/a.cc", 9}}),
          Location(0x7f0000002000, {}, "/lib/liby.so"),
          Location(0x7000, {{"main", "", 0}}), Location(0x8000, {}, "[jit]"),
          Location(0x9000, {}, "")},
         {3, 3072, 1, 1024});
  EXPECT_THAT(
      Encode(),
      StartsWith("heap profile: 1: 1024 [3: 3072] @ heap/1048576\n"
                 "1: 1024 [3: 3072] @ 0x401001 0x7f0000002001 0x7001 0x8001 "
                 "0x9001\n"
                 "#\t0x401000\tinner(int)\t/src/a.cc:7\n"
                 "#\t0x401000\touter\t/src/a.cc:9\n"
                 "#\t0x7f0000002000\t[liby.so]\n"
                 "#\t0x7000\tmain\n"
                 "#\t0x8000\t[jit]\n"
                 "#\t0x9000\t[unknown]\n"
                 "\n"
                 "\n# runtime.MemStats\n"));
}

TEST_F(HeapTextEncoderTest, PutsTheBiggestFirst) {
  uint32_t place = Location(0x401000, {});
  Sample({place}, {1, 10, 0, 0});
  Sample({place}, {9, 900, 1, 100});
  Sample({place}, {1, 20, 0, 0});
  Sample({place}, {2, 200, 2, 200});
  std::istringstream lines(Encode());
  std::vector<std::string> records;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("] @ 0x") != std::string::npos) {
      records.push_back(line.substr(0, line.find(" @")));
    }
  }
  EXPECT_THAT(records, ElementsAre("2: 200 [2: 200]", "1: 100 [9: 900]",
                                   "0: 0 [1: 20]", "0: 0 [1: 10]"));
}

TEST_F(HeapTextEncoderTest, NeverPrintsEqualBytesInTheHeader) {
  Sample({Location(0x401000, {})}, {2, 200, 2, 200});
  EXPECT_EQ(FirstLine(Encode()),
            "heap profile: 2: 200 [2: 201] @ heap/1048576");
}

TEST_F(HeapTextEncoderTest, PrintsAProfileWithoutSamples) {
  EXPECT_EQ(FirstLine(Encode(1)), "heap profile: 0: 0 [0: 1] @ heap/2");
}

TEST_F(HeapTextEncoderTest, PrintsOnlyWhatTheFormatKnows) {
  uint32_t place = Location(0x401000, {});
  Sample({place}, {-1, -10, -1, -10});
  Sample({place}, {0, 5, 0, 7});
  Sample({}, {1, 1, 1, 1});
  EXPECT_THAT(Encode(0),
              StartsWith("heap profile: 0: 0 [1: 1] @ heap/2\n"
                         "1: 1 [1: 1] @ 0x3000000000000001\n\n"
                         "0: 0 [0: 0] @ 0x401001\n#\t0x401000\t[x]\n\n"
                         "-1: -10 [0: 0] @ 0x401001\n#\t0x401000\t[x]\n\n"));
}

TEST_F(HeapTextEncoderTest, KeepsEveryFrameOnOneShortLine) {
  Sample({Location(0x401000, {{"a\nb\tc\rd", std::string(65'000, 'f'), 1}}),
          Location(0x402000, {{std::string(65'000, 'g'), "x", 2}})},
         {1, 10, 1, 10});
  std::string text = Encode();
  EXPECT_THAT(text, HasSubstr("\ta b c d\tfff"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LT(line.size(), 60'000u);
  }
}

TEST_F(HeapTextEncoderTest, PrintsEveryFigureOfGoInItsOrder) {
  std::string text = Encode();
  std::string pauses = "[0";
  for (int i = 1; i < 256; ++i) pauses += " 0";
  pauses += "]";
  size_t start = text.find("# runtime.MemStats");
  ASSERT_NE(start, std::string::npos);
  EXPECT_EQ(text.substr(start),
            "# runtime.MemStats\n# Alloc = 5000\n# TotalAlloc = 9000\n"
            "# Sys = 1000\n# Lookups = 0\n# Mallocs = 9\n# Frees = 4\n"
            "# HeapAlloc = 5000\n# HeapSys = 600\n# HeapIdle = 350\n"
            "# HeapInuse = 250\n# HeapReleased = 350\n# HeapObjects = 5\n"
            "# Stack = 40 / 100\n# MSpan = 0 / 0\n# MCache = 0 / 0\n"
            "# BuckHashSys = 0\n# GCSys = 0\n# OtherSys = 300\n"
            "# NextGC = 0\n# LastGC = 0\n# PauseNs = " +
                pauses + "\n# PauseEnd = " + pauses +
                "\n# NumGC = 0\n# NumForcedGC = 0\n# GCCPUFraction = 0\n"
                "# DebugGC = false\n# MaxRSS = 700\n"
                "# proc.VmRSS = 512\n# proc.Threads = 3\n"
                "\n--- Memory map: ---\n" +
                kMaps);
}

TEST_F(HeapTextEncoderTest, TakesResidentMemoryForLiveWhenThatIsNotKnown) {
  trailer_.live.reset();
  EXPECT_THAT(Encode(), HasSubstr("# HeapAlloc = 250\n"));
}

TEST_F(HeapTextEncoderTest, PrintsEveryFigureOfAProcessThatIsGone) {
  trailer_.memory.reset();
  std::string text = Encode();
  EXPECT_THAT(text, HasSubstr("# MaxRSS = 0\n"));
  EXPECT_THAT(text, HasSubstr("# HeapAlloc = 5000\n"));
  EXPECT_THAT(text, Not(HasSubstr("# proc.")));
}

TEST_F(HeapTextEncoderTest, PrintsCallsBySizeAndWhatFreesAreWorth) {
  trailer_.totals.allocs_by_size[0] = 2;
  trailer_.totals.allocs_by_size[3] = 7;
  trailer_.totals.allocs_by_size[31] = 1;
  trailer_.frees.quality = HeapFrees::Quality::kEstimated;
  trailer_.frees.by_size[3] = 5;
  EXPECT_THAT(Encode(), HasSubstr("# proc.BySizeFrees = estimated\n"
                                  "# proc.BySize[0-8] = 2 0\n"
                                  "# proc.BySize[33-64] = 7 5\n"
                                  "# proc.BySize[8589934593-140737488355327] "
                                  "= 1 0\n\n--- Memory map"));
}

TEST_F(HeapTextEncoderTest, PrintsNoFreesWhenNoneAreWatched) {
  trailer_.totals.allocs_by_size[3] = 7;
  EXPECT_THAT(Encode(), HasSubstr("# proc.BySizeFrees = unknown\n"
                                  "# proc.BySize[33-64] = 7 -\n"));
}

TEST_F(HeapTextEncoderTest, PrintsNoSizesOfCallsThatWereNotCounted) {
  trailer_.frees.quality = HeapFrees::Quality::kEstimated;
  trailer_.frees.by_size[3] = 5;
  EXPECT_THAT(Encode(), Not(HasSubstr("BySize")));
}

// What `go tool pprof -raw` makes of a text.
class HeapTextToolTest : public HeapTextEncoderTest {
 protected:
  void SetUp() override {
    for (const char* go : {"/usr/lib/go-1.19/bin/go", "/usr/bin/go"}) {
      if (go_.empty() && access(go, X_OK) == 0) go_ = go;
    }
    if (go_.empty()) GTEST_SKIP() << "no go tool on this machine";
    std::string pattern = testing::TempDir() + "/pprofd_heap_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    if (!directory_.empty()) Run("rm -rf '" + directory_ + "'");
  }
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
  std::string Raw(const std::string& text) {
    std::string path = directory_ + "/heap.txt";
    std::ofstream(path, std::ios::binary) << text;
    return Run("HOME='" + directory_ + "' " + go_ +
               " tool pprof -symbolize=none -raw " + path);
  }
  // The four values of each sample.
  static std::vector<std::vector<int64_t>> RawValues(const std::string& raw) {
    std::vector<std::vector<int64_t>> values;
    static const std::regex kSample(
        R"( *(-?\d+) +(-?\d+) +(-?\d+) +(-?\d+): [0-9 ]+)");
    std::istringstream lines(raw);
    std::smatch match;
    for (std::string line; std::getline(lines, line);) {
      if (!std::regex_match(line, match, kSample)) continue;
      values.emplace_back();
      for (int i = 1; i <= 4; ++i) {
        values.back().push_back(std::stoll(match[i]));
      }
    }
    return values;
  }

  std::string go_;
  std::string directory_;
};

TEST_F(HeapTextToolTest, GoUnsamplesItAsWeDo) {
  struct Record {
    int64_t block;
    int64_t allocs;
    int64_t live;
  };
  const std::vector<Record> kRecords = {{1 << 20, 5, 5},
                                        {73'728, 46, 40},
                                        {1024, 50, 30},
                                        {24, 9, 2},
                                        {464, 2, 0}};
  for (const Record& record : kRecords) {
    Sample({Location(0x401000 + record.block % 0x8000, {{"f", "/a.cc", 1}}),
            Location(0x7f0000001500, {}, "/lib/liby.so")},
           {record.allocs, record.allocs * record.block, record.live,
            record.live * record.block});
  }
  std::string raw = Raw(Encode());
  EXPECT_THAT(raw, HasSubstr("PeriodType: space bytes\nPeriod: 524288\n"));
  EXPECT_THAT(raw, HasSubstr("alloc_objects/count alloc_space/bytes "
                             "inuse_objects/count inuse_space/bytes"));
  std::vector<std::vector<int64_t>> values = RawValues(raw);
  ASSERT_EQ(values.size(), kRecords.size()) << raw;
  for (size_t i = 0; i < kRecords.size(); ++i) {
    const Record& record = kRecords[i];
    auto block = static_cast<uint64_t>(record.block);
    HeapValues alloc =
        Unsample(static_cast<double>(record.allocs), block, kPeriod);
    HeapValues live =
        Unsample(static_cast<double>(record.live), block, kPeriod);
    EXPECT_NEAR(values[i][0], alloc.objects, 1);
    EXPECT_NEAR(values[i][1], alloc.bytes, 1);
    EXPECT_NEAR(values[i][2], live.objects, 1);
    EXPECT_NEAR(values[i][3], live.bytes, 1);
  }
}

TEST_F(HeapTextToolTest, GoFindsMappingsAndOurAddresses) {
  Sample({Location(0x555500001234, {}), Location(0x7f0000001500, {})},
         {1, 1024, 1, 1024});
  std::string raw = Raw(Encode());
  EXPECT_THAT(raw, HasSubstr("0x555500001234 M=1"));
  EXPECT_THAT(raw, HasSubstr("0x7f0000001500 M=2"));
  EXPECT_THAT(raw, HasSubstr("0x555500001000/0x555500009000/0x1000 /bin/x"));
  EXPECT_THAT(raw,
              HasSubstr("0x7f0000001000/0x7f0000009000/0x1000 /lib/liby.so"));
  EXPECT_THAT(raw, HasSubstr("bytes:[1024]"));
}

TEST_F(HeapTextToolTest, GoTakesScaledValuesAsTheyAre) {
  Sample({Location(0x401000, {})}, {512, 524'800, 512, 524'800});
  EXPECT_THAT(RawValues(Raw(Encode(1))),
              ElementsAre(ElementsAre(512, 524'800, 512, 524'800)));
}

TEST_F(HeapTextToolTest, GoReadsOddRecordsAndLongNames) {
  uint32_t place =
      Location(0x401000, {{std::string(65'000, 'g'), std::string(65'000, 'f')},
                          {"--- Memory map: ---\n1: 1 [1: 1] @ 0x1", "", 0}});
  Sample({place}, {-1, -10, -1, -10});
  Sample({place}, {0, 5, 0, 7});
  Sample({}, {1, 100, 1, 100});
  trailer_.executable_maps.clear();
  // -raw leaves out what is all zeros.
  EXPECT_THAT(
      RawValues(Raw(Encode(1))),
      ElementsAre(ElementsAre(1, 100, 1, 100), ElementsAre(0, 0, -1, -10)));
}

TEST_F(HeapTextToolTest, GoReadsAProfileWithoutSamples) {
  EXPECT_THAT(Raw(Encode()), HasSubstr("alloc_objects/count"));
}

}  // namespace
}  // namespace pprofd
