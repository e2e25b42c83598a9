#include "daemon/profile/growth_text_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "daemon/profile/string_table.h"

namespace pprofd {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

class GrowthTextEncoderTest : public testing::Test {
 protected:
  uint32_t Location(uint64_t address, const std::string& function) {
    ProfileLocation location{.address = address, .lines = {}};
    if (!function.empty()) {
      location.lines.push_back(
          {.function = static_cast<uint32_t>(profile_.functions.size()),
           .line = 12});
      profile_.functions.push_back(
          {.name = strings_.Add(function), .filename = strings_.Add("/x.c")});
    }
    profile_.locations.push_back(std::move(location));
    return static_cast<uint32_t>(profile_.locations.size() - 1);
  }
  void Sample(std::vector<uint32_t> locations, int64_t faults) {
    profile_.samples.push_back({.locations = std::move(locations),
                                .values = {faults, faults * 4096},
                                .labels = {}});
  }
  std::string Encode() {
    profile_.strings = std::move(strings_).Take();
    return EncodeGrowthText(profile_, "maps\n");
  }

  Profile profile_;
  StringTable strings_;
};

TEST_F(GrowthTextEncoderTest, PutsTheBiggestRecordFirst) {
  uint32_t leaf = Location(0x1000, "small");
  uint32_t root = Location(0x2000, "main");
  uint32_t big = Location(0x3000, "big");
  Sample({leaf, root}, 128);
  Sample({big, root}, 256);
  EXPECT_EQ(Encode(),
            "heap profile: 384: 1572864 [384: 1572864] @ growthz\n"
            "256: 1048576 [256: 1048576] @ 0x3001 0x2001\n"
            "#\t0x3000\tbig\t/x.c:12\n"
            "#\t0x2000\tmain\t/x.c:12\n\n"
            "128: 524288 [128: 524288] @ 0x1001 0x2001\n"
            "#\t0x1000\tsmall\t/x.c:12\n"
            "#\t0x2000\tmain\t/x.c:12\n\n"
            "\n--- Memory map: ---\nmaps\n");
}

TEST_F(GrowthTextEncoderTest, NamesWhatHasNoName) {
  Sample({Location(0x1000, "")}, 128);
  EXPECT_THAT(Encode(), HasSubstr("#\t0x1000\t[unknown]\n"));
}

TEST_F(GrowthTextEncoderTest, KeepsACommentOnItsLine) {
  profile_.comments.push_back(strings_.Add("a\nb"));
  EXPECT_THAT(Encode(),
              EndsWith("growthz\n# a b\n\n--- Memory map: ---\nmaps\n"));
}

}  // namespace
}  // namespace pprofd
