#include "symbolizer/module_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "symbolizer/testdata/fake_symbol_store.h"
#include "symbolizer/testdata/known_code.h"
#include "symbolizer/testdata/shared_code_chains.h"

namespace pprofd {
namespace {

using testing::Contains;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr const char* kFromDwarf = "compilation units";
constexpr const char* kFromDisk = "addresses from disk";

class ModuleCacheTest : public testing::Test {
 protected:
  AllCalls Calls(const Program& program) {
    Symbolizer::Options options;
    options.store = &store_;
    return CallsOf(program, options);
  }

  // The calls at one address.
  static SymbolChain Ask(Symbolizer& symbolizer, const std::string& path,
                         ModuleAddr address,
                         std::chrono::steady_clock::time_point deadline) {
    UniqueFd fd = OpenFile(path);
    return symbolizer
        .SymbolizeModule(fd.get(), "key", path, "", std::array{address},
                         DemangleStyle::kShort, deadline)
        .Chain(0);
  }

  Symbolizer::Options WithStore() {
    Symbolizer::Options options;
    options.store = &store_;
    return options;
  }

  FakeSymbolStore store_;
  TemporaryFolder folder_;
};

using Places = testing::WithParamInterface<const char*>;
class ModuleCacheVariantsTest : public ModuleCacheTest, public Places {};

TEST_P(ModuleCacheVariantsTest, AnswersTheSameWithoutReadingDwarf) {
  std::string name = GetParam();
  Program program;
  program.file = name[0] == '.' ? std::filesystem::path(TargetPath(name))
                                : SharedCodePath(name);
  std::vector<std::string> expected = CallsOf(program).lines;
  AllCalls first = Calls(program);
  EXPECT_EQ(FirstDifference(first.lines, expected), "") << first.Attempts();
  EXPECT_THAT(first.attempts, Contains(HasSubstr(kFromDwarf)));
  ASSERT_THAT(store_.files, SizeIs(1));
  AllCalls second = Calls(program);
  EXPECT_EQ(FirstDifference(second.lines, expected), "") << second.Attempts();
  EXPECT_THAT(second.attempts, Not(Contains(HasSubstr(kFromDwarf))));
  EXPECT_THAT(second.attempts, Contains(HasSubstr(kFromDisk)));
  EXPECT_EQ(store_.hits, 1);
  EXPECT_EQ(store_.saves, 1);
}

INSTANTIATE_TEST_SUITE_P(Variants, ModuleCacheVariantsTest,
                         testing::Values(".zlib", ".stripped", ".dwarf4",
                                         "dwz/gcc5", "plain/clang5"),
                         [](const auto& variant) {
                           std::string name = variant.param;
                           std::erase_if(name, [](char c) {
                             return c == '.' || c == '/';
                           });
                           return name;
                         });

TEST_F(ModuleCacheTest, ServesACopyOfTheFile) {
  Program copy{.file = folder_.path() / "copy"};
  CopyTo(TargetPath(""), copy.file);
  AllCalls original = Calls({TargetPath("")});
  AllCalls copied = Calls(copy);
  EXPECT_EQ(FirstDifference(copied.lines, original.lines), "");
  EXPECT_THAT(copied.attempts, Contains(HasSubstr(kFromDisk)));
}

// The same build ID and addresses, another content.
TEST_F(ModuleCacheTest, DoesNotServeAFileThatOnlySaysItIsTheSame) {
  Program forged{.file = folder_.path() / "forged"};
  CopyTo(TargetPath(""), forged.file);
  std::ofstream(forged.file, std::ios::app) << "x";
  AllCalls calls = Calls(forged);
  ASSERT_THAT(store_.files, SizeIs(1));
  AllCalls original = Calls({TargetPath("")});
  EXPECT_THAT(original.attempts, Contains(HasSubstr(kFromDwarf)));
  EXPECT_THAT(original.attempts, Not(Contains(HasSubstr(kFromDisk))));
  EXPECT_THAT(store_.files, SizeIs(2));
}

TEST_F(ModuleCacheTest, DoesNotServeAnotherDebugFile) {
  Program program{.file = folder_.path() / "program"};
  std::string debug = std::filesystem::path(TargetPath(".debug")).filename();
  CopyTo(TargetPath(".stripped"), program.file);
  CopyTo(TargetPath(".debug"), folder_.path() / debug);
  Calls(program);
  ASSERT_THAT(store_.files, SizeIs(1));
  // Found by its build ID, so that its CRC does not matter.
  std::ofstream(folder_.path() / debug, std::ios::app) << "x";
  AllCalls calls = Calls(program);
  EXPECT_THAT(calls.attempts, Contains(HasSubstr(kFromDwarf)));
}

TEST_F(ModuleCacheTest, KeepsNothingOfSplitDwarf) {
  AllCalls calls = Calls({SharedCodePath("split/gcc5")});
  EXPECT_THAT(calls.attempts, Contains("symbol cache: off: split DWARF"));
  EXPECT_THAT(store_.files, IsEmpty());
}

TEST_F(ModuleCacheTest, KeepsNothingOfAFileWithoutDwarf) {
  AllCalls calls = Calls({TargetPath(".nodebug")});
  EXPECT_THAT(calls.lines, Not(IsEmpty()));
  EXPECT_THAT(store_.files, IsEmpty());
  EXPECT_EQ(store_.misses, 0);
}

TEST_F(ModuleCacheTest, KeepsNothingOfAFileThatChangedMeanwhile) {
  std::string path = folder_.path() / "program";
  CopyTo(TargetPath(""), path);
  {
    Symbolizer symbolizer(WithStore());
    EXPECT_THAT(Ask(symbolizer, path, AddressOf("main"), NoDeadline()),
                SizeIs(1));
    std::ofstream(path, std::ios::app) << "x";
    EXPECT_THAT(Ask(symbolizer, path, AddressOf("known_inlined"), NoDeadline()),
                SizeIs(3));
    EXPECT_THAT(symbolizer.Report("key").attempts,
                Contains("symbol cache: off: the files changed"));
    symbolizer.SaveAll();
  }
  EXPECT_THAT(store_.files, IsEmpty());
}

TEST_F(ModuleCacheTest, DoesNotKeepThatTimeWasShort) {
  auto past = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  {
    Symbolizer symbolizer(WithStore());
    EXPECT_THAT(Ask(symbolizer, TargetPath(""), AddressOf("main"), past),
                IsEmpty());
    symbolizer.SaveAll();
  }
  EXPECT_THAT(store_.files, IsEmpty());
}

TEST_F(ModuleCacheTest, KeepsThatThereIsNoName) {
  const ModuleAddr nowhere{0x7fff'0000'0000};
  for (int round = 0; round < 2; ++round) {
    Symbolizer symbolizer(WithStore());
    EXPECT_THAT(Ask(symbolizer, TargetPath(""), nowhere, NoDeadline()),
                IsEmpty());
    EXPECT_EQ(store_.hits, round);
    std::vector<std::string> attempts = symbolizer.Report("key").attempts;
    EXPECT_EQ(
        std::ranges::count(attempts, "symbol cache: 1 addresses from disk"),
        round);
    symbolizer.SaveAll();
  }
}

TEST_F(ModuleCacheTest, AddsToWhatIsThere) {
  for (const char* name : {"main", "known_inlined", "known_hidden"}) {
    Symbolizer symbolizer(WithStore());
    Ask(symbolizer, TargetPath(""), AddressOf(name), NoDeadline());
    EXPECT_TRUE(symbolizer.has_unsaved());
    symbolizer.SaveAll();
    EXPECT_FALSE(symbolizer.has_unsaved());
  }
  ASSERT_THAT(store_.files, SizeIs(1));
  EXPECT_EQ(CacheFile::Open(store_.files.begin()->second)->address_count(), 3u);
}

// Two containers that run the same file.
TEST_F(ModuleCacheTest, KeepsWhatAnotherCopySavedMeanwhile) {
  {
    Symbolizer one(WithStore());
    Symbolizer two(WithStore());
    Ask(one, TargetPath(""), AddressOf("main"), NoDeadline());
    Ask(two, TargetPath(""), AddressOf("known_hidden"), NoDeadline());
    two.SaveAll();
    one.SaveAll();
  }
  ASSERT_THAT(store_.files, SizeIs(1));
  EXPECT_EQ(CacheFile::Open(store_.files.begin()->second)->address_count(), 2u);
}

TEST_F(ModuleCacheTest, WritesADamagedFileAnew) {
  AllCalls first = Calls({TargetPath("")});
  std::vector<uint8_t>& bytes = store_.files.begin()->second;
  std::vector<uint8_t> good = bytes;
  bytes.resize(bytes.size() / 2);
  AllCalls second = Calls({TargetPath("")});
  EXPECT_EQ(FirstDifference(second.lines, first.lines), "");
  EXPECT_EQ(store_.discards, 1);
  EXPECT_EQ(store_.files.begin()->second, good);
}

TEST_F(ModuleCacheTest, SavesSoonOnlyWhenThereIsMuchToSave) {
  Symbolizer symbolizer(WithStore());
  Ask(symbolizer, TargetPath(""), AddressOf("main"), NoDeadline());
  symbolizer.SaveSome(NoDeadline());
  EXPECT_EQ(store_.saves, 0);
  std::vector<ModuleAddr> addresses;
  for (uint64_t i = 0; i < 1000; ++i) {
    addresses.push_back({AddressOf("main").value + i});
  }
  UniqueFd fd = OpenFile(TargetPath(""));
  symbolizer.SymbolizeModule(fd.get(), "key", TargetPath(""), "", addresses,
                             DemangleStyle::kShort, NoDeadline());
  symbolizer.SaveSome(NoDeadline());
  EXPECT_EQ(store_.saves, 1);
  symbolizer.SaveSome(NoDeadline());
  EXPECT_EQ(store_.saves, 1);
}

TEST_F(ModuleCacheTest, SavesTheLittleThereIsAfterAWhile) {
  UniqueFd fd = OpenFile(TargetPath(""));
  const ModuleCache::Files files{fd.get(), -1, -1};
  ModuleCache cache(&store_);
  ChainTable chains;
  auto now = std::chrono::steady_clock::now();
  cache.BeginBatch(files, NoDeadline());
  EXPECT_FALSE(cache.Find({8}, chains));
  chains.Add({8}, {});
  cache.NoteNew({8});
  EXPECT_FALSE(cache.IsSaveDue(now + std::chrono::hours(1)));
  cache.EndBatch(files);
  EXPECT_FALSE(cache.IsSaveDue(now + std::chrono::seconds(30)));
  EXPECT_TRUE(cache.IsSaveDue(now + std::chrono::hours(1)));
  EXPECT_TRUE(cache.MakeContent(chains).has_value());
  EXPECT_FALSE(cache.IsSaveDue(now + std::chrono::hours(2)));
}

TEST_F(ModuleCacheTest, SavesWhatIsEvicted) {
  Symbolizer::Options options = WithStore();
  options.max_cache_bytes = 64 << 10;
  Symbolizer symbolizer(options);
  std::string other = folder_.path() / "other";
  CopyTo(TargetPath(".dwarf4"), other);
  UniqueFd fd = OpenFile(other);
  for (int i = 0; i < 20; ++i) {
    symbolizer.SymbolizeModule(fd.get(), std::to_string(i), other, "",
                               std::array{AddressOf("main", ".dwarf4")},
                               DemangleStyle::kShort, NoDeadline());
    EXPECT_LE(symbolizer.cache_bytes(), options.max_cache_bytes * 5 / 4);
  }
  symbolizer.SaveSome(NoDeadline());
  EXPECT_GT(store_.saves, 0);
}

}  // namespace
}  // namespace pprofd
