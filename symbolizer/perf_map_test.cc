#include "symbolizer/perf_map.h"

#include <gtest/gtest.h>

#include <string>

namespace pprofd {
namespace {

TEST(PerfMap, ReadsStartSizeAndName) {
  PerfMap map =
      PerfMap::Parse("7f00 20 LazyCompile:~f /a b.js:1\n0x8000 0x10 g");
  EXPECT_EQ(map.Find(0x7f1f), "LazyCompile:~f /a b.js:1");
  EXPECT_EQ(map.Find(0x7f20), std::nullopt);
  EXPECT_EQ(map.Find(0x8000), "g");
}

TEST(PerfMap, PrefersTheLaterOfOverlappingLines) {
  PerfMap map = PerfMap::Parse("100 100 old\n150 10 new\n1f0 20 tail\n");
  EXPECT_EQ(map.Find(0x14f), "old");
  EXPECT_EQ(map.Find(0x150), "new");
  EXPECT_EQ(map.Find(0x160), "old");
  EXPECT_EQ(map.Find(0x1f8), "tail");
  PerfMap replaced = PerfMap::Parse("100 10 old\n100 10 new\n");
  EXPECT_EQ(replaced.Find(0x100), "new");
}

TEST(PerfMap, SkipsLinesThatMakeNoSense) {
  PerfMap map = PerfMap::Parse(
      "\n\nzz 10 a\n10\n20 30\n40 0 empty\nffffffffffffffff 10 wraps\n"
      "100 10 good\n-5 5 c\n100000000000000000000 1 d\n");
  EXPECT_EQ(map.symbol_count(), 1u);
  EXPECT_EQ(map.Find(0x100), "good");
}

TEST(PerfMap, CutsLongNames) {
  PerfMap map = PerfMap::Parse("10 10 " + std::string(100000, 'x') + "\n");
  EXPECT_EQ(map.Find(0x10)->size(), PerfMap::kMaxNameBytes);
}

}  // namespace
}  // namespace pprofd
