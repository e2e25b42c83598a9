#include "daemon/process/module_table.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "daemon/base/telemetry.h"

namespace pprofd {
namespace {

using testing::HasSubstr;

constexpr int64_t kGraceNs = 100;

ModuleTable::Options SmallTable(size_t max_modules, size_t max_open_files) {
  return {max_modules, max_open_files, kGraceNs};
}

Module NewModule(uint32_t id, const std::string& path, bool is_open = true) {
  Module module;
  module.id = ModuleId{id};
  module.path = path;
  module.key.inode = 1000 + id;
  module.key.device = 0xfe << 20;
  module.build_id = BuildId("id" + std::to_string(id));
  module.segments.push_back({{0}, {0x1000}, 64, true});
  if (is_open) module.file = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  return module;
}

ProcMapping LineOf(uint32_t id, const std::string& path) {
  ProcMapping line;
  line.path = path;
  line.inode = 1000 + id;
  line.device_major = 0xfe;
  return line;
}

TEST(ModuleTable, FindsWhatWasAdded) {
  ModuleTable table(SmallTable(8, 8));
  ModuleRef added = table.Add(NewModule(2, "/lib/a.so"));
  EXPECT_EQ(table.Find(ModuleId{2}), added);
  EXPECT_EQ(table.Find(ModuleId::kNone), nullptr);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(table.open_files(), 1u);
}

TEST(ModuleTable, ReplacesAModuleOfTheSameNumber) {
  ModuleTable table(SmallTable(8, 8));
  table.Add(NewModule(2, "/lib/a.so"));
  table.Add(NewModule(2, "/lib/a.so", false));
  EXPECT_FALSE(table.Find(ModuleId{2})->file);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(table.open_files(), 0u);
}

TEST(ModuleTable, SaysOfAnUnknownNumberThatItsEventWasLost) {
  ModuleTable table(SmallTable(8, 8));
  ModuleRef module = table.Find(ModuleId{99});
  ASSERT_NE(module, nullptr);
  EXPECT_EQ(module->id, ModuleId{99});
  EXPECT_THAT(module->unavailable_reason, HasSubstr("lost"));
  EXPECT_EQ(table.size(), 0u);
}

TEST(ModuleTable, ClosesTheFileThatWasNotUsedForLongest) {
  ModuleTable table(SmallTable(8, 2));
  uint64_t before = GlobalCounters().Get(Counter::module_files_closed);
  ModuleRef held = table.Add(NewModule(2, "/lib/a.so"));
  table.Add(NewModule(3, "/lib/b.so"));
  table.Find(ModuleId{2});
  table.Add(NewModule(4, "/lib/c.so"));
  EXPECT_EQ(table.open_files(), 2u);
  EXPECT_TRUE(table.Find(ModuleId{2})->file);
  ModuleRef closed = table.Find(ModuleId{3});
  EXPECT_FALSE(closed->file);
  EXPECT_THAT(closed->unavailable_reason, HasSubstr("closed"));
  EXPECT_EQ(closed->path, "/lib/b.so");
  EXPECT_EQ(closed->build_id, BuildId("id3"));
  EXPECT_EQ(closed->segments.size(), 1u);
  EXPECT_EQ(GlobalCounters().Get(Counter::module_files_closed), before + 1);
}

TEST(ModuleTable, LeavesAFileOpenForThoseWhoHoldIt) {
  ModuleTable table(SmallTable(8, 1));
  ModuleRef held = table.Add(NewModule(2, "/lib/a.so"));
  table.Add(NewModule(3, "/lib/b.so"));
  EXPECT_FALSE(table.Find(ModuleId{2})->file);
  ASSERT_TRUE(held->file);
  EXPECT_GE(fcntl(held->file.get(), F_GETFD), 0);
}

TEST(ModuleTable, EvictsAtItsLimitAndNamesTheEvicted) {
  ModuleTable table(SmallTable(2, 8));
  table.Add(NewModule(1, "[vdso]"));
  table.Add(NewModule(2, "/lib/a.so"));
  table.Add(NewModule(3, "/lib/b.so"));
  EXPECT_EQ(table.size(), 2u);
  EXPECT_EQ(table.open_files(), 2u);
  auto dropped = table.Retain({ModuleId{3}}, {0});
  ASSERT_EQ(dropped.size(), 1u);
  EXPECT_EQ(dropped[0]->id, ModuleId{2});
  EXPECT_EQ(dropped[0]->key.inode, 1002u);
  EXPECT_TRUE(table.Find(ModuleId::kVdso)->file);
}

TEST(ModuleTable, DropsAModuleAGracePeriodAfterItsLastUse) {
  ModuleTable table(SmallTable(8, 8));
  table.Add(NewModule(2, "/lib/a.so"));
  table.Add(NewModule(3, "/lib/b.so"));
  EXPECT_TRUE(table.Retain({ModuleId{2}}, {0}).empty());
  EXPECT_TRUE(table.Retain({ModuleId{2}}, {kGraceNs - 1}).empty());
  auto dropped = table.Retain({ModuleId{2}}, {kGraceNs});
  ASSERT_EQ(dropped.size(), 1u);
  EXPECT_EQ(dropped[0]->id, ModuleId{3});
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(table.open_files(), 1u);
  EXPECT_TRUE(table.Retain({ModuleId{2}}, {10 * kGraceNs}).empty());
}

TEST(ModuleTable, StartsTheGracePeriodAnewAfterEachUse) {
  ModuleTable table(SmallTable(8, 8));
  table.Add(NewModule(2, "/lib/a.so"));
  table.Retain({}, {0});
  table.Retain({ModuleId{2}}, {kGraceNs / 2});
  EXPECT_TRUE(table.Retain({}, {kGraceNs}).empty());
  EXPECT_EQ(table.Retain({}, {2 * kGraceNs}).size(), 1u);
}

TEST(ModuleTable, NeverDropsTheVdso) {
  ModuleTable table(SmallTable(8, 8));
  table.Add(NewModule(1, "[vdso]"));
  table.Retain({}, {0});
  EXPECT_TRUE(table.Retain({}, {10 * kGraceNs}).empty());
}

TEST(ModuleTable, FindsTheModuleOfAMapsLine) {
  ModuleTable table(SmallTable(8, 8));
  table.Add(NewModule(2, "/lib/a.so"));
  EXPECT_EQ(table.FindByMapping(LineOf(2, "/lib/a.so")), ModuleId{2});
  EXPECT_EQ(table.FindByMapping(LineOf(2, "/lib/b.so")), ModuleId::kNone);
  EXPECT_EQ(table.FindByMapping(LineOf(3, "/lib/a.so")), ModuleId::kNone);
  ProcMapping on_other_disk = LineOf(2, "/lib/a.so");
  on_other_disk.device_major = 8;
  EXPECT_EQ(table.FindByMapping(on_other_disk), ModuleId::kNone);
  ProcMapping in_overlay = LineOf(2, "/lib/a.so");
  in_overlay.device_major = 0;
  EXPECT_EQ(table.FindByMapping(in_overlay), ModuleId{2});
  ProcMapping vdso;
  vdso.path = "[vdso]";
  EXPECT_EQ(table.FindByMapping(vdso), ModuleId::kVdso);
}

TEST(ModuleTable, FindsNoModuleOfAMapsLineOnceDropped) {
  ModuleTable table(SmallTable(8, 8));
  table.Add(NewModule(2, "/lib/a.so"));
  table.Retain({}, {0});
  table.Retain({}, {kGraceNs});
  EXPECT_EQ(table.FindByMapping(LineOf(2, "/lib/a.so")), ModuleId::kNone);
}

}  // namespace
}  // namespace pprofd
