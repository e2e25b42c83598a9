#include "symbolizer/jit_code_map.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pprofd {
namespace {

using Line = JitCodeMap::Line;

void Load(JitCodeMap& map, uint64_t start, uint64_t size, uint64_t index,
          std::string_view name, const std::vector<Line>& lines = {}) {
  map.Load({.start = start, .size = size, .index = index, .name = name}, lines);
}

std::string NameAt(const JitCodeMap& map, uint64_t address) {
  auto place = map.Find(address);
  return place ? std::string(place->name) : "";
}

TEST(JitCodeMap, FindsCodeFromItsFirstToItsLastByte) {
  JitCodeMap map;
  Load(map, 0x1000, 0x10, 1, "f");
  EXPECT_EQ(NameAt(map, 0xfff), "");
  EXPECT_EQ(NameAt(map, 0x1000), "f");
  EXPECT_EQ(NameAt(map, 0x100f), "f");
  EXPECT_EQ(NameAt(map, 0x1010), "");
}

TEST(JitCodeMap, ForgetsCodeThatWasReplaced) {
  JitCodeMap map;
  Load(map, 0x1000, 0x10, 1, "old");
  Load(map, 0x1000, 0x20, 2, "new");
  EXPECT_EQ(NameAt(map, 0x1008), "new");
  EXPECT_EQ(map.function_count(), 1u);
}

TEST(JitCodeMap, CutsWhatNewerCodeCovers) {
  JitCodeMap map;
  Load(map, 0x1000, 0x100, 1, "a");
  Load(map, 0x1100, 0x100, 2, "b");
  Load(map, 0x10f0, 0x20, 3, "across");
  Load(map, 0x1040, 0x10, 4, "within");
  EXPECT_EQ(NameAt(map, 0x103f), "a");
  EXPECT_EQ(NameAt(map, 0x1040), "within");
  EXPECT_EQ(NameAt(map, 0x1050), "a");
  EXPECT_EQ(NameAt(map, 0x10ef), "a");
  EXPECT_EQ(NameAt(map, 0x10f0), "across");
  EXPECT_EQ(NameAt(map, 0x110f), "across");
  EXPECT_EQ(NameAt(map, 0x1110), "b");
  EXPECT_EQ(map.function_count(), 4u);
  Load(map, 0, 0x10000, 5, "all");
  EXPECT_EQ(NameAt(map, 0x1040), "all");
  EXPECT_EQ(map.function_count(), 1u);
}

TEST(JitCodeMap, HasTheLineThatBeganLast) {
  JitCodeMap map;
  Load(map, 0x1000, 0x100, 1, "f",
       {{0x10, 5, "a.js"}, {0x20, 9, "b.js"}, {0x30, 6, "a.js"}});
  EXPECT_EQ(map.Find(0x1000)->line, 5u) << "before the first line";
  EXPECT_EQ(map.Find(0x101f)->line, 5u);
  EXPECT_EQ(map.Find(0x1020)->file, "b.js");
  EXPECT_EQ(map.Find(0x10ff)->line, 6u);
  EXPECT_EQ(map.count_with_lines(), 1u);
}

TEST(JitCodeMap, MovesCodeWithItsLines) {
  JitCodeMap map;
  Load(map, 0x1000, 0x100, 1, "f", {{0, 5, "a.js"}, {0x20, 9, "a.js"}});
  Load(map, 0x5000, 0x100, 2, "g");
  ASSERT_TRUE(map.Move(1, 0x1000, 0x5080));
  EXPECT_EQ(NameAt(map, 0x1000), "");
  EXPECT_EQ(NameAt(map, 0x507f), "g");
  EXPECT_EQ(NameAt(map, 0x5080), "f");
  EXPECT_EQ(map.Find(0x50a0)->line, 9u);
  EXPECT_EQ(map.function_count(), 2u);
  EXPECT_EQ(map.count_with_lines(), 1u);
}

TEST(JitCodeMap, MovesCodeWhoseOldPlaceIsTakenAlready) {
  JitCodeMap map;
  Load(map, 0x1000, 0x100, 1, "a");
  Load(map, 0x2000, 0x100, 2, "b");
  ASSERT_TRUE(map.Move(1, 0x1000, 0x2000));
  ASSERT_TRUE(map.Move(2, 0x2000, 0x3000));
  EXPECT_EQ(NameAt(map, 0x2000), "a");
  EXPECT_EQ(NameAt(map, 0x3000), "b");
  EXPECT_EQ(map.function_count(), 2u);
}

TEST(JitCodeMap, MovesOnlyWhatIsThere) {
  JitCodeMap map;
  Load(map, 0x1000, 0x100, 1, "a");
  EXPECT_FALSE(map.Move(2, 0x1000, 0x2000));
  EXPECT_FALSE(map.Move(1, 0x1001, 0x2000));
  EXPECT_FALSE(map.Move(1, 0x1000, UINT64_MAX - 0x10));
  EXPECT_EQ(NameAt(map, 0x1000), "a");
}

TEST(JitCodeMap, KeepsNothingOfCodeThatIsReplacedForEver) {
  JitCodeMap map;
  for (uint64_t i = 0; i < 20'000; ++i) {
    Load(map, 0x1000 + i % 8 * 0x100, 0x100, i,
         "function number " + std::to_string(i), {{0, 1, "a.js"}});
  }
  EXPECT_EQ(map.function_count(), 8u);
  EXPECT_EQ(NameAt(map, 0x1700), "function number 19999");
  EXPECT_EQ(map.forgotten_count(), 0u);
  EXPECT_LT(map.bytes(), size_t{1} << 20);
}

TEST(JitCodeMap, ForgetsTheOldestWhenItIsFull) {
  JitCodeMap map;
  const std::string name(1000, 'x');
  constexpr uint64_t kCount = 40'000;
  for (uint64_t i = 0; i < kCount; ++i) {
    Load(map, i * 0x100, 0x100, i, std::to_string(i) + name);
    ASSERT_LE(map.bytes(), JitCodeMap::kMaxBytes);
  }
  EXPECT_GT(map.forgotten_count(), 0u);
  EXPECT_EQ(map.forgotten_count() + map.function_count(), kCount);
  EXPECT_EQ(NameAt(map, 0), "");
  EXPECT_EQ(NameAt(map, (kCount - 1) * 0x100),
            std::to_string(kCount - 1) + name);
}

}  // namespace
}  // namespace pprofd
