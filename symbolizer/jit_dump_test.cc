#include "symbolizer/jit_dump.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "daemon/base/unique_handle.h"
#include "symbolizer/testdata/jit_dump_writer.h"

namespace pprofd {
namespace {

using Writer = JitDumpWriter;
using namespace std::string_literals;

constexpr uint32_t kV8 = 0xdeadbeef;

class JitDumpTest : public testing::Test {
 protected:
  void Append(const std::string& text) {
    EXPECT_EQ(write(file_.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }
  Status Update() { return dump_.Update(file_.get()); }
  std::string NameAt(uint64_t address) {
    auto place = dump_.Find(address);
    return place ? std::string(place->name) : "";
  }
  // "file:line".
  std::string PlaceAt(uint64_t address) {
    auto place = dump_.Find(address);
    if (!place) return "";
    return std::string(place->file) + ":" + std::to_string(place->line);
  }

  UniqueFd file_{memfd_create("jit.dump", MFD_CLOEXEC)};
  JitDump dump_;
};

TEST_F(JitDumpTest, NamesFunctionsWithTheirLines) {
  Append(Writer::Header());
  Append(Writer::Lines(0x1000, {{0x1000, 3, "/a.cs"}, {0x1020, 4, "/a.cs"}}));
  Append(Writer::Record(4, std::string(100, 'u')));
  Append(Writer::Load(0x1000, 0x40, 1, "int f(int)"));
  Append(Writer::Load(0x2000, 0x40, 2, "g"));
  ASSERT_TRUE(Update().ok());
  EXPECT_EQ(NameAt(0x1000), "int f(int)");
  EXPECT_EQ(PlaceAt(0x101f), "/a.cs:3");
  EXPECT_EQ(PlaceAt(0x1020), "/a.cs:4");
  EXPECT_EQ(NameAt(0x2000), "g");
  EXPECT_EQ(PlaceAt(0x2000), ":0") << "the lines are of the first one";
  EXPECT_EQ(NameAt(0x3000), "");
  EXPECT_EQ(dump_.Report(),
            std::vector<std::string>{"jitdump: 2 functions, 1 with lines"});
}

TEST_F(JitDumpTest, ReadsWhatIsAppendedByteByByte) {
  std::string text = Writer::Header() +
                     Writer::Lines(0x1000, {{0x1000, 3, "/a.cs"}}) +
                     Writer::Load(0x1000, 0x40, 1, "f") +
                     Writer::Load(0x1000, 0x40, 2, "g") + Writer::Record(3, "");
  bool was_f = false;
  for (char c : text) {
    Append(std::string(1, c));
    Status status = Update();
    was_f |= status.ok() && NameAt(0x1000) == "f";
  }
  EXPECT_TRUE(was_f);
  EXPECT_TRUE(Update().ok());
  EXPECT_EQ(NameAt(0x1000), "g") << "the last one wins";
  EXPECT_EQ(dump_.function_count(), 1u);
}

TEST_F(JitDumpTest, FollowsMoves) {
  Append(Writer::Header() + Writer::Load(0x1000, 0x40, 1, "f") +
         Writer::Move(0x1000, 0x5000, 0x40, 1) +
         Writer::Move(0x9000, 0x6000, 0x40, 5));
  ASSERT_TRUE(Update().ok());
  EXPECT_EQ(NameAt(0x1000), "");
  EXPECT_EQ(NameAt(0x5000), "f");
  EXPECT_EQ(dump_.Report().back(), "jitdump: 1 records make no sense");
}

TEST_F(JitDumpTest, StartsAgainWhenTheFileIsWrittenAnew) {
  Append(Writer::Header() + Writer::Load(0x1000, 0x40, 1, "old"));
  ASSERT_TRUE(Update().ok());
  ASSERT_EQ(ftruncate(file_.get(), 0), 0);
  ASSERT_EQ(lseek(file_.get(), 0, SEEK_SET), 0);
  Append(Writer::Header(9) + Writer::Load(0x2000, 0x40, 1, "a longer name"));
  ASSERT_TRUE(Update().ok());
  EXPECT_EQ(NameAt(0x1000), "");
  EXPECT_EQ(NameAt(0x2000), "a longer name");
}

TEST_F(JitDumpTest, PutsTheLinesOfV8InTheirPlace) {
  Append(
      Writer::Header(kV8) +
      Writer::Lines(0x1000, {{0x1040, 4, "/app.js"}, {0x1060, 6, "/app.js"}}) +
      Writer::Load(0x1000, 0x40, 1, "JS:*leaf /app.js:4:15"));
  ASSERT_TRUE(Update().ok());
  EXPECT_EQ(PlaceAt(0x101f), "/app.js:4");
  EXPECT_EQ(PlaceAt(0x1020), "/app.js:6");
}

TEST_F(JitDumpTest, MendsFileNamesThatV8Overwrote) {
  const std::string kPath = "/srv/service/app.js";
  const std::string kBroken =
      "\xc8S\x01\0\0\0\0\0garbage\1"s + kPath.substr(16);
  const std::string kOther = "\xc8S\x01\0\0\0\0\0garbage\1another/file.js"s;
  Append(Writer::Header(kV8) +
         Writer::Lines(0x1000, {{0x1040, 4, kBroken},
                                {0x1050, 5, kOther},
                                {0x1060, 6, kBroken}}) +
         Writer::Load(0x1000, 0x40, 1, "JS:*leaf " + kPath + ":4:15"));
  ASSERT_TRUE(Update().ok());
  EXPECT_EQ(PlaceAt(0x1000), kPath + ":4");
  EXPECT_EQ(PlaceAt(0x1010), ":0") << "no line of a file that is not known";
  EXPECT_EQ(PlaceAt(0x1020), kPath + ":6");
}

TEST_F(JitDumpTest, RefusesWhatIsNoJitDump) {
  Append(std::string(64, 'x'));
  EXPECT_EQ(Update().code(), StatusCode::kInvalid);
  EXPECT_EQ(dump_.Report().back(), "jitdump: no jitdump");
}

TEST_F(JitDumpTest, RefusesAnotherVersion) {
  Append(Writer::Header(0, 2));
  EXPECT_EQ(Update().code(), StatusCode::kInvalid);
  EXPECT_EQ(dump_.Report().back(), "jitdump: version 2 where 1 is known");
}

TEST_F(JitDumpTest, RefusesAPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  UniqueFd in(ends[0]);
  UniqueFd out(ends[1]);
  EXPECT_EQ(dump_.Update(in.get()).code(), StatusCode::kInvalid);
}

TEST_F(JitDumpTest, StopsAtARecordWithoutASize) {
  std::string bad = Writer::Record(0, "");
  bad[4] = 15;
  Append(Writer::Header() + Writer::Load(0x1000, 0x40, 1, "f") + bad +
         Writer::Load(0x2000, 0x40, 1, "g"));
  EXPECT_EQ(Update().code(), StatusCode::kCorrupt);
  EXPECT_EQ(Update().code(), StatusCode::kCorrupt);
  EXPECT_EQ(NameAt(0x1000), "f") << "what was before stays";
  EXPECT_EQ(NameAt(0x2000), "");
}

TEST_F(JitDumpTest, WaitsForTheRestOfAHugeRecord) {
  std::string huge = Writer::Load(0x2000, 0x40, 2, "g");
  huge.replace(4, 4, "\xff\xff\xff\xff");
  Append(Writer::Header() + Writer::Load(0x1000, 0x40, 1, "f") + huge);
  ASSERT_TRUE(Update().ok());
  EXPECT_EQ(NameAt(0x1000), "f");
  EXPECT_EQ(dump_.Report().back(),
            "jitdump: " + std::to_string(huge.size()) + " bytes not read yet");
}

TEST_F(JitDumpTest, SkipsCodeThatCannotBe) {
  Append(Writer::Header() + Writer::Load(UINT64_MAX - 4, 0x40, 1, "high") +
         Writer::Load(0x1000, UINT64_MAX, 2, "long") +
         Writer::Load(0x1000, 0x40, 3, "") + Writer::Record(0, "short") +
         Writer::Load(0x3000, 0, 4, "empty") +
         Writer::Load(0x2000, 0x40, 5, "good"));
  ASSERT_TRUE(Update().ok());
  EXPECT_EQ(dump_.function_count(), 1u);
  EXPECT_EQ(NameAt(0x2000), "good");
  EXPECT_EQ(dump_.Report().back(), "jitdump: 4 records make no sense");
}

TEST_F(JitDumpTest, CutsLongNamesAndRefusesEndlessOnes) {
  const std::string long_name(5000, 'n');
  std::string endless = Writer::Load(0x2000, 0x40, 2, "endless", 0);
  endless.back() = 's';
  Append(Writer::Header() + Writer::Load(0x1000, 0x40, 1, long_name) + endless);
  ASSERT_TRUE(Update().ok());
  EXPECT_EQ(NameAt(0x1000), long_name.substr(0, JitDump::kMaxNameBytes));
  EXPECT_EQ(NameAt(0x2000), "");
}

TEST_F(JitDumpTest, TellsOfLinesThatAreTooMany) {
  std::vector<Writer::Entry> entries;
  for (uint32_t i = 0; i < 60'000; ++i) {
    entries.push_back({0x1000 + i, 1 + i, "/a.cs"});
  }
  Append(Writer::Header() + Writer::Lines(0x1000, entries) +
         Writer::Load(0x1000, 0x10000, 1, "f", 0x10000) +
         Writer::Load(0x90000, 0x40, 1, "g"));
  ASSERT_TRUE(Update().ok());
  EXPECT_EQ(PlaceAt(0x1010), "/a.cs:17");
  EXPECT_EQ(NameAt(0x90000), "g");
  EXPECT_EQ(dump_.Report().back(),
            "jitdump: 1 records of lines are too long to be read whole");
}

}  // namespace
}  // namespace pprofd
