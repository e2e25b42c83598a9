#include "daemon/symbolizer_client/name_saver.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "daemon/base/telemetry.h"
#include "daemon/symbolizer_client/symbol_cache_folder.h"
#include "symbolizer/elf_file.h"

namespace pprofd {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

// Through a pprofd-symbolizer in its sandbox.
class NameSaverTest : public testing::Test {
 protected:
  NameSaverTest() : own_(open("/proc/self/exe", O_RDONLY | O_CLOEXEC)) {
    std::string name = testing::TempDir() + "pprofd-names-XXXXXX";
    base_ = mkdtemp(name.data());
    cache_ = OpenSymbolCache({.path = base_ / "names", .max_bytes = 1 << 20});
    auto map = MapFile(own_.get());
    auto elf = ElfFile::Parse(Bytes(*map));
    const ElfSection* text = elf->FindSection(".text");
    for (uint64_t i = 0; i < 50; ++i) {
      addresses_.push_back({text->address.value + i * text->size / 50});
    }
  }
  ~NameSaverTest() override { std::filesystem::remove_all(base_); }

  struct Answer {
    std::vector<std::string> names;
    std::vector<std::string> attempts;
  };
  // Of another symbolizer each time.
  Answer Ask() {
    Answer answer;
    auto client =
        SymbolizerClient::Start({.process = {.program = PPROFD_SYMBOLIZER,
                                             .role = "test",
                                             .max_cache_bytes = 64 << 20,
                                             .debug_roots = {}},
                                 .store = cache_.get()});
    if (!client.ok()) {
      ADD_FAILURE() << client.status().ToString();
      return answer;
    }
    NameSaver saver(**client);
    auto soon = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    ModuleSymbols found = (*client)->SymbolizeModule(
        {.file = own_.get(), .key = "own", .path = "/own", .root = ""},
        addresses_, DemangleStyle::kFull, soon);
    EXPECT_EQ(found.problem, "");
    for (size_t i = 0; i < found.size(); ++i) {
      for (const SymbolLine& line : found.Chain(i)) {
        answer.names.push_back(line.name + " " + line.file + ":" +
                               std::to_string(line.line));
      }
    }
    answer.attempts = (*client)->Report("own").attempts;
    return answer;
  }
  std::vector<std::filesystem::path> Files() const {
    std::vector<std::filesystem::path> files;
    for (const auto& file :
         std::filesystem::directory_iterator(base_ / "names")) {
      files.push_back(file.path());
    }
    return files;
  }

  UniqueFd own_;
  std::filesystem::path base_;
  std::unique_ptr<SymbolCacheFolder> cache_;
  std::vector<ModuleAddr> addresses_;
};

TEST_F(NameSaverTest, LeavesWhatWasFoundToTheNextSymbolizer) {
  Answer first = Ask();
  EXPECT_GE(first.names.size(), 50u);
  EXPECT_THAT(first.attempts, Contains(HasSubstr("compilation units")));
  EXPECT_EQ(Files().size(), 1u);
  Answer second = Ask();
  EXPECT_EQ(second.names, first.names);
  EXPECT_THAT(second.attempts, Contains(HasSubstr("addresses from disk")));
  EXPECT_THAT(second.attempts, Not(Contains(HasSubstr("compilation units"))));
}

TEST_F(NameSaverTest, ReplacesWhatWasDamaged) {
  Answer first = Ask();
  ASSERT_EQ(Files().size(), 1u);
  auto size = std::filesystem::file_size(Files()[0]);
  std::filesystem::resize_file(Files()[0], size / 2);
  uint64_t invalid = GlobalCounters().Get(Counter::symbol_cache_invalid);
  EXPECT_EQ(Ask().names, first.names);
  EXPECT_EQ(GlobalCounters().Get(Counter::symbol_cache_invalid), invalid + 1);
  ASSERT_EQ(Files().size(), 1u);
  EXPECT_EQ(std::filesystem::file_size(Files()[0]), size);
}

TEST_F(NameSaverTest, SavesNothingWithoutAStore) {
  cache_ = nullptr;
  EXPECT_GE(Ask().names.size(), 50u);
  EXPECT_TRUE(Files().empty());
}

}  // namespace
}  // namespace pprofd
