#include "daemon/profile/collapsed_encoder.h"

#include <gtest/gtest.h>

#include <regex>
#include <sstream>

#include "daemon/profile/string_table.h"

namespace pprofd {
namespace {

class CollapsedEncoderTest : public testing::Test {
 protected:
  uint32_t Location(const std::string& filename,
                    const std::vector<std::string>& names) {
    profile_.mappings.push_back(
        {.start = 1, .limit = UINT64_MAX, .filename = strings_.Add(filename)});
    ProfileLocation location{
        .mapping = static_cast<uint32_t>(profile_.mappings.size() - 1),
        .address = 1,
        .lines = {}};
    for (const std::string& name : names) {
      profile_.functions.push_back({.name = strings_.Add(name)});
      location.lines.push_back(
          {.function = static_cast<uint32_t>(profile_.functions.size() - 1)});
    }
    profile_.locations.push_back(location);
    return static_cast<uint32_t>(profile_.locations.size() - 1);
  }
  void Sample(std::vector<uint32_t> locations, int64_t count,
              std::vector<ProfileLabel> labels = {}) {
    profile_.samples.push_back({.locations = std::move(locations),
                                .values = {count, count * 1000},
                                .labels = std::move(labels)});
  }
  std::string Encode(const char* type = "samples") {
    profile_.sample_types.resize(2);
    profile_.sample_types[0].type = strings_.Add(type);
    profile_.strings = std::move(strings_).Take();
    return EncodeCollapsed(profile_, {});
  }

  Profile profile_;
  StringTable strings_;
};

TEST_F(CollapsedEncoderTest, PrintsRootFirstSortedAndMerged) {
  uint32_t main = Location("/bin/x", {"main"});
  uint32_t b = Location("/bin/x", {"b"});
  uint32_t a = Location("/bin/x", {"a"});
  uint32_t a_elsewhere = Location("/bin/x", {"a"});
  Sample({b, main}, 1);
  Sample({a, main}, 2);
  Sample({a_elsewhere, main}, 3);
  Sample({main}, 0);
  EXPECT_EQ(Encode(), "main;a 5\nmain;b 1\n");
}

TEST_F(CollapsedEncoderTest, MarksKernelJitInlinedAndUnresolvedFrames) {
  Sample({Location("[kernel.kallsyms]", {"sys_read"}),
          Location("[kernel.kallsyms]", {}), Location("[jit]", {"js"}),
          Location("/lib/libx.so", {}),
          Location("/bin/x", {"inner", "middle", "outer"})},
         4);
  EXPECT_EQ(Encode(),
            "outer;middle_[i];inner_[i];[libx.so];js_[j];"
            "[kernel.kallsyms]_[k];sys_read_[k] 4\n");
}

TEST_F(CollapsedEncoderTest, KeepsSeparatorsOutOfNames) {
  Sample({Location("/bin/x", {"a;b\nc"})}, 1);
  std::string text = Encode();
  EXPECT_EQ(text, "a:b c 1\n");
  EXPECT_TRUE(std::regex_match(text.substr(0, text.size() - 1),
                               std::regex("[^;]+(;[^;]+)* [0-9]+")));
}

TEST_F(CollapsedEncoderTest, StartsWholeHostStacksWithTheirProcess) {
  StringIndex pid = strings_.Add("pid");
  StringIndex comm = strings_.Add("comm");
  Sample({Location("/bin/x", {"main"})}, 1,
         {{.key = pid, .num = 7, .num_unit = pid},
          {.key = comm, .str = strings_.Add("sh")}});
  EXPECT_EQ(Encode(), "sh;main 1\n");
  RenderOptions options;
  options.labels = {"pid"};
  options.unit_is_ns = true;
  EXPECT_EQ(EncodeCollapsed(profile_, options), "sh-7;main 1000\n");
}

TEST_F(CollapsedEncoderTest, StartsStacksOfOneProcessWithTheirRoot) {
  StringIndex comm = strings_.Add("comm");
  Sample({Location("/bin/x", {"main"})}, 1,
         {{.key = comm, .str = strings_.Add("worker")}});
  EXPECT_EQ(Encode(), "main 1\n");
}

TEST_F(CollapsedEncoderTest, ShowsBytesOfWhatIsNoCpuTime) {
  Sample({Location("/bin/x", {"main"})}, 128);
  EXPECT_EQ(Encode("faults"), "main 128000\n");
}

}  // namespace
}  // namespace pprofd
