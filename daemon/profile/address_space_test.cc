#include "daemon/profile/address_space.h"

#include <gtest/gtest.h>

#include "daemon/profile/fakes_for_test.h"

namespace pprofd {
namespace {

constexpr ProcessKey kProcess{7, 100};

class AddressSpaceTest : public testing::Test {
 protected:
  AddressSpaceTest() {
    modules_.Add(2, "/usr/bin/app");
    modules_.Add(3, "/lib/libx.so");
    process_ = &processes_.Add(kProcess, "app", 2, "/usr/bin/app", 3);
  }

  static Frame File(uint32_t module, uint64_t offset, bool is_return) {
    return Frame::File(static_cast<ModuleId>(module), {offset}, is_return);
  }

  FakeModules modules_;
  FakeProcesses processes_;
  ProcessInfo* process_ = nullptr;
  AddressSpace space_{modules_};
};

TEST_F(AddressSpaceTest, PlacesLeavesAsTheyAreAndCallersInsideTheCall) {
  space_.UseMappingsOf(*process_);
  AddressSpace::Place leaf = space_.PlaceCode(File(2, 0x1200, false));
  EXPECT_EQ(leaf.address, 0x555500001200u);
  EXPECT_EQ(leaf.module_addr, ModuleAddr{0x401200});
  AddressSpace::Place caller = space_.PlaceCode(File(2, 0x1200, true));
  EXPECT_EQ(caller.address, 0x5555000011ffu);
  EXPECT_EQ(caller.module_addr, ModuleAddr{0x4011ff});
  EXPECT_EQ(space_.PlaceCode(Frame::Kernel(0xffffffff81000010, true)).address,
            0xffffffff8100000fu);
  EXPECT_EQ(space_.PlaceCode(Frame::Address({0x7000}, true)).address, 0x6fffu);
}

TEST_F(AddressSpaceTest, NeverUsesAddressZero) {
  EXPECT_EQ(space_.PlaceCode(Frame::Address({0}, false)).address, 1u);
  EXPECT_EQ(space_.PlaceCode(Frame::Address({0}, true)).address, 1u);
  EXPECT_GT(space_.PlaceCode(File(2, 0, true)).address, 0u);
  for (const auto& mapping : space_.mappings()) EXPECT_GT(mapping.start, 0u);
}

TEST_F(AddressSpaceTest, MergesAdjacentMappingsOfOneFile) {
  process_->mappings = {
      {{0x555500005000}, {0x555500009000}, {0x5000}, process_->exe_module},
      {{0x555500001000}, {0x555500005000}, {0x1000}, process_->exe_module}};
  process_->exe_mapping = process_->mappings[1];
  space_.UseMappingsOf(*process_);
  ASSERT_TRUE(space_.SetMain(*process_));
  EXPECT_EQ(space_.PlaceCode(File(2, 0x6000, false)).mapping, 0u);
  ASSERT_EQ(space_.mappings().size(), 1u);
  EXPECT_EQ(space_.mappings()[0].start, 0x555500001000u);
  EXPECT_EQ(space_.mappings()[0].limit, 0x555500009000u);
  EXPECT_EQ(space_.mappings()[0].file_offset, 0x1000u);
  EXPECT_EQ(space_.mappings()[0].filename, "/usr/bin/app");
  EXPECT_EQ(space_.mappings()[0].build_id, "0202");
}

TEST_F(AddressSpaceTest, GivesModulesWithoutMappingSeparatePlaces) {
  modules_.Add(4, "/lib/liby.so");
  space_.UseMappingsOf(*process_);
  AddressSpace::Place a = space_.PlaceCode(File(4, 0x1200, false));
  AddressSpace::Place b = space_.PlaceCode(File(5, 0x1200, false));
  EXPECT_NE(a.address, b.address);
  EXPECT_EQ(a.address & 0xfff, 0x200u);
  EXPECT_EQ(a.module_addr, ModuleAddr{0x401200});
  EXPECT_EQ(b.module_addr, std::nullopt);
  const auto& known = space_.mappings()[a.mapping];
  EXPECT_EQ(known.limit - known.start, 0x8000u);
  EXPECT_EQ(known.file_offset, 0x1000u);
  EXPECT_EQ(space_.mappings()[b.mapping].filename, "[unknown file]");
  AddressSpace other(modules_);
  EXPECT_EQ(other.PlaceCode(File(4, 0x1200, false)).address, a.address);
}

TEST_F(AddressSpaceTest, NamesTheVdso) {
  AddressSpace::Place place =
      space_.PlaceCode(Frame::File(ModuleId::kVdso, {0x800}, false));
  EXPECT_EQ(space_.mappings()[place.mapping].filename, "[vdso]");
}

TEST_F(AddressSpaceTest, KnowsTheMainExecutableByNameAloneIfNeedBe) {
  ProcessInfo gone;
  gone.exe = "/opt/gone";
  ASSERT_TRUE(space_.SetMain(gone));
  EXPECT_EQ(space_.mappings()[0].filename, "/opt/gone");
  EXPECT_TRUE(space_.mappings()[0].build_id.empty());
  ProcessInfo kernel_thread;
  kernel_thread.is_kernel_thread = true;
  EXPECT_FALSE(AddressSpace(modules_).SetMain(kernel_thread));
}

TEST_F(AddressSpaceTest, IgnoresMappingsThatMakeNoSense) {
  process_->mappings.push_back({{0x9000}, {0x8000}, {0}, ModuleId{3}});
  process_->mappings.push_back({{0}, {UINT64_MAX}, {0}, ModuleId{3}});
  space_.UseMappingsOf(*process_);
  EXPECT_EQ(space_.PlaceCode(File(3, 0x1200, false)).address, 0x7f0000001200u);
}

}  // namespace
}  // namespace pprofd
