#include "daemon/profile/symbolizer_source.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "symbolizer/testdata/jit_dump_writer.h"

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
  UniqueFd OpenJitDump(const ProcessKey& key) override {
    if (key.pid != 7 || !has_dump) return UniqueFd();
    std::string dump =
        JitDumpWriter::Header() +
        JitDumpWriter::Lines(0x9000, {{0x9000, 4, "/srv/app.js"}}) +
        JitDumpWriter::Load(0x9000, 0x10, 1, "hotter");
    UniqueFd file(memfd_create("jitdump", MFD_CLOEXEC));
    EXPECT_EQ(write(file.get(), dump.data(), dump.size()),
              static_cast<ssize_t>(dump.size()));
    return file;
  }

  bool has_dump = false;
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

TEST(SymbolizerSource, AsksThePerfMapForWhatTheJitDumpDoesNotName) {
  auto symbolizer = StartSymbolizer();
  ASSERT_TRUE(symbolizer.ok()) << symbolizer.status().ToString();
  FakePerfMaps perf_maps;
  perf_maps.has_dump = true;
  KernelSymbols kernel;
  SymbolizerSource source(**symbolizer, kernel, perf_maps);
  std::vector<uint64_t> addresses{0x6000, 0x7010, 0x9001};
  ModuleSymbols named =
      source.SymbolizeJit({7, 100}, addresses, DemangleStyle::kShort,
                          SymbolSource::Deadline::max());
  ASSERT_EQ(named.size(), 3u);
  EXPECT_TRUE(named.Chain(0).empty());
  EXPECT_EQ(named.Chain(1).at(0).name, "js:hot");
  SymbolLine line = named.Chain(2).at(0);
  EXPECT_EQ(line.name, "hotter");
  EXPECT_EQ(line.file, "/srv/app.js");
  EXPECT_EQ(line.line, 4);
  EXPECT_TRUE(named.has_filenames);
  EXPECT_TRUE(named.has_line_numbers);
}

}  // namespace
}  // namespace pprofd
