#include "daemon/process/process_mappings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pprofd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Mapping At(uint64_t start, uint64_t limit, uint64_t offset, uint32_t module) {
  return {{start}, {limit}, {offset}, ModuleId{module}};
}

TEST(ProcessMappings, KeepsMappingsByStart) {
  ProcessMappings mappings;
  mappings.Add(At(0x3000, 0x4000, 0, 3));
  mappings.Add(At(0x1000, 0x2000, 0, 2));
  mappings.Add(At(0x3000, 0x4000, 0, 3));
  EXPECT_THAT(mappings.All(),
              ElementsAre(At(0x1000, 0x2000, 0, 2), At(0x3000, 0x4000, 0, 3)));
  EXPECT_EQ(mappings.Find({0x1fff})->module, ModuleId{2});
  EXPECT_FALSE(mappings.Find({0x2000}));
}

TEST(ProcessMappings, RemembersWhereAReplacedModuleWas) {
  ProcessMappings mappings;
  mappings.Add(At(0x1000, 0x3000, 0x1000, 2));
  mappings.Add(At(0x2000, 0x4000, 0, 3));
  EXPECT_THAT(mappings.current(), ElementsAre(At(0x2000, 0x4000, 0, 3)));
  EXPECT_THAT(mappings.All(), ElementsAre(At(0x1000, 0x3000, 0x1000, 2),
                                          At(0x2000, 0x4000, 0, 3)));
  EXPECT_EQ(mappings.Find({0x2000})->module, ModuleId{3});
}

TEST(ProcessMappings, KeepsTheLatestPlaceOfAFileRange) {
  ProcessMappings mappings;
  mappings.Add(At(0x1000, 0x3000, 0x1000, 2));
  mappings.Add(At(0x1000, 0x3000, 0, 3));  // took its place
  mappings.Add(At(0x8000, 0xa000, 0x1000, 2));
  EXPECT_THAT(mappings.All(), ElementsAre(At(0x1000, 0x3000, 0, 3),
                                          At(0x8000, 0xa000, 0x1000, 2)));
}

TEST(ProcessMappings, JoinsOverlappingPartsOfOneFile) {
  ProcessMappings mappings;
  mappings.Add(At(0x1000, 0x3000, 0x1000, 2));
  mappings.Add(At(0x2000, 0x5000, 0x2000, 2));
  EXPECT_THAT(mappings.All(), ElementsAre(At(0x1000, 0x5000, 0x1000, 2)));
  mappings.Add(At(0x2000, 0x3000, 0x2000, 2));  // a part of it
  EXPECT_THAT(mappings.All(), ElementsAre(At(0x1000, 0x5000, 0x1000, 2)));
}

TEST(ProcessMappings, LearnsTheModuleOfAKnownPlace) {
  ProcessMappings mappings;
  mappings.Add(At(0x1000, 0x3000, 0x1000, 0));
  mappings.Add(At(0x1000, 0x3000, 0x1000, 2));
  EXPECT_THAT(mappings.All(), ElementsAre(At(0x1000, 0x3000, 0x1000, 2)));
}

TEST(ProcessMappings, FindsTheMappingThatPlacesAFileAlike) {
  ProcessMappings mappings;
  mappings.Add(At(0x1000, 0x3000, 0x1000, 2));
  EXPECT_EQ(mappings.FindAlike(At(0x2000, 0x2800, 0x2000, 0))->module,
            ModuleId{2});
  EXPECT_FALSE(mappings.FindAlike(At(0x2000, 0x2800, 0, 0)));
  EXPECT_FALSE(mappings.FindAlike(At(0x3000, 0x3800, 0x3000, 0)));
}

TEST(ProcessMappings, KeepsThePastOfAReplacedProgram) {
  ProcessMappings mappings;
  mappings.Add(At(0x1000, 0x2000, 0, 2));
  mappings.Add(At(0x5000, 0x6000, 0, 0));  // nothing can name it later
  mappings.Clear();
  EXPECT_THAT(mappings.current(), IsEmpty());
  EXPECT_THAT(mappings.All(), ElementsAre(At(0x1000, 0x2000, 0, 2)));
  EXPECT_FALSE(mappings.Find({0x1000}));
}

TEST(ProcessMappings, IsBounded) {
  ProcessMappings mappings;
  for (uint64_t i = 0; i < ProcessMappings::kMaxCurrent; ++i) {
    ASSERT_TRUE(mappings.Add(At(i * 0x1000, i * 0x1000 + 0x1000, 0, 2 + i)));
  }
  EXPECT_FALSE(
      mappings.Add(At(uint64_t{1} << 40, (uint64_t{1} << 40) + 1, 0, 1)));
  mappings.Clear();
  EXPECT_EQ(mappings.size(), ProcessMappings::kMaxPast);
}

TEST(ProcessMappings, RefusesEmptyOnes) {
  ProcessMappings mappings;
  EXPECT_FALSE(mappings.Add(At(0x2000, 0x2000, 0, 2)));
  EXPECT_FALSE(mappings.Add(At(0x2000, 0x1000, 0, 2)));
  EXPECT_EQ(mappings.size(), 0u);
}

}  // namespace
}  // namespace pprofd
