#include "daemon/profile/symbolizer_source.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <string_view>
#include <vector>

namespace pprofd {
namespace {

class FakePerfMaps : public PerfMapSource {
 public:
  UniqueFd OpenPerfMap(const ProcessKey& key) override {
    if (key.pid != 7) return UniqueFd();
    constexpr std::string_view kMap = "7000 100 js:hot\n";
    UniqueFd file(memfd_create("perf-map", MFD_CLOEXEC));
    EXPECT_EQ(write(file.get(), kMap.data(), kMap.size()),
              static_cast<ssize_t>(kMap.size()));
    return file;
  }
};

Result<std::unique_ptr<SymbolizerClient>> StartSymbolizer() {
  return SymbolizerClient::Start({.process = {.program = PPROFD_SYMBOLIZER,
                                              .role = "test",
                                              .max_cache_bytes = 1 << 20,
                                              .debug_roots = {}}});
}

TEST(SymbolizerSource, TellsFilesOfOneBuildIdApart) {
  Module module;
  module.key = {.inode = 5, .ctime_ns = 9, .device = 0x10, .generation = 2};
  module.build_id = BuildId("\xab\x01");
  EXPECT_EQ(SymbolCacheKey(module), "ab01:10:5:2:9");
  Module forged;
  forged.key = {.inode = 6, .ctime_ns = 9, .device = 0x10, .generation = 2};
  forged.build_id = module.build_id;
  EXPECT_NE(SymbolCacheKey(forged), SymbolCacheKey(module));
}

TEST(SymbolizerSource, HasNoNamesForAModuleThatCouldNotBeOpened) {
  auto symbolizer = StartSymbolizer();
  ASSERT_TRUE(symbolizer.ok()) << symbolizer.status().ToString();
  FakePerfMaps perf_maps;
  KernelSymbols kernel;
  SymbolizerSource source(**symbolizer, kernel, perf_maps);
  std::vector<ModuleAddr> addresses{{0x401000}};
  EXPECT_TRUE(source
                  .SymbolizeModule(Module(), addresses, DemangleStyle::kShort,
                                   SymbolSource::Deadline::max())
                  .size() == 0);
}

TEST(SymbolizerSource, NamesJitCodeByThePerfMapOfItsProcess) {
  auto symbolizer = StartSymbolizer();
  ASSERT_TRUE(symbolizer.ok()) << symbolizer.status().ToString();
  FakePerfMaps perf_maps;
  KernelSymbols kernel;
  SymbolizerSource source(**symbolizer, kernel, perf_maps);
  std::vector<uint64_t> addresses{0x7010};
  ModuleSymbols named =
      source.SymbolizeJit({7, 100}, addresses, DemangleStyle::kShort,
                          SymbolSource::Deadline::max());
  ASSERT_EQ(named.size(), 1u);
  ASSERT_FALSE(named.Chain(0).empty());
  EXPECT_EQ(named.Chain(0)[0].name, "js:hot");
  EXPECT_EQ(source
                .SymbolizeJit({8, 100}, addresses, DemangleStyle::kShort,
                              SymbolSource::Deadline::max())
                .size(),
            0u);
}

}  // namespace
}  // namespace pprofd
