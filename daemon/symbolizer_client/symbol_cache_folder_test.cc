#include "daemon/symbolizer_client/symbol_cache_folder.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "daemon/base/telemetry.h"
#include "symbolizer/cache_file.h"

namespace pprofd {
namespace {

using testing::HasSubstr;

using Purpose = SymbolStore::Purpose;

std::string KeyOf(int number) {
  std::string key(kSymbolKeyDigits, '0');
  std::string digits = std::to_string(number);
  return key.replace(key.size() - digits.size(), digits.size(), digits);
}

class SymbolCacheFolderTest : public testing::Test {
 protected:
  SymbolCacheFolderTest() {
    std::string name = testing::TempDir() + "pprofd-cache-XXXXXX";
    base_ = mkdtemp(name.data());
    path_ = base_ / "pprofd";
  }
  ~SymbolCacheFolderTest() override { std::filesystem::remove_all(base_); }

  std::unique_ptr<SymbolCacheFolder> Open(uint64_t max_bytes = 1 << 20) {
    auto folder =
        SymbolCacheFolder::Open({.path = path_, .max_bytes = max_bytes});
    EXPECT_TRUE(folder.ok()) << folder.status().ToString();
    return folder.ok() ? std::move(*folder) : nullptr;
  }
  std::string WhyNot() {
    return SymbolCacheFolder::Open({.path = path_, .max_bytes = 1 << 20})
        .status()
        .ToString();
  }

  static Status Save(SymbolCacheFolder& folder, int key, size_t size) {
    return folder.Save(KeyOf(key), std::vector<uint8_t>(size, 'x'));
  }
  static bool Has(SymbolCacheFolder& folder, int key) {
    return folder.Load(KeyOf(key), Purpose::kMerge).ok();
  }
  // Says when a file was used last.
  void SetUsed(int key, time_t when) {
    timespec times[2] = {{when, 0}, {when, 0}};
    EXPECT_EQ(utimensat(AT_FDCWD, (path_ / KeyOf(key)).c_str(), times, 0), 0);
  }
  size_t FileCount() const {
    auto files = std::filesystem::directory_iterator(path_);
    return static_cast<size_t>(std::distance(begin(files), end(files)));
  }

  std::filesystem::path base_;
  std::filesystem::path path_;
};

uint64_t Counted(Counter counter) { return GlobalCounters().Get(counter); }

TEST_F(SymbolCacheFolderTest, GivesBackWhatWasSaved) {
  {
    auto folder = Open();
    ASSERT_TRUE(folder->Save(KeyOf(1), std::vector<uint8_t>{1, 2, 3}).ok());
    ASSERT_TRUE(folder->Save(KeyOf(1), std::vector<uint8_t>{4, 5}).ok());
  }
  auto folder = Open();
  auto file = folder->Load(KeyOf(1), Purpose::kLookUp);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  uint8_t bytes[8];
  EXPECT_EQ(pread(file->get(), bytes, sizeof(bytes), 0), 2);
  EXPECT_EQ(bytes[0], 4);
  EXPECT_EQ(Counted(Counter::symbol_cache_disk_bytes), 4096u);
}

TEST_F(SymbolCacheFolderTest, IsForItsUserAlone) {
  Save(*Open(), 1, 10).ok();
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  ASSERT_EQ(stat((path_ / KeyOf(1)).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(SymbolCacheFolderTest, CountsWhatItIsAsked) {
  auto folder = Open();
  uint64_t hits = Counted(Counter::symbol_cache_hits);
  uint64_t misses = Counted(Counter::symbol_cache_misses);
  uint64_t written = Counted(Counter::symbol_cache_written);
  EXPECT_FALSE(folder->Load(KeyOf(1), Purpose::kLookUp).ok());
  EXPECT_TRUE(Save(*folder, 1, 10).ok());
  EXPECT_TRUE(folder->Load(KeyOf(1), Purpose::kLookUp).ok());
  EXPECT_TRUE(folder->Load(KeyOf(1), Purpose::kMerge).ok());
  EXPECT_EQ(Counted(Counter::symbol_cache_hits) - hits, 1u);
  EXPECT_EQ(Counted(Counter::symbol_cache_misses) - misses, 1u);
  EXPECT_EQ(Counted(Counter::symbol_cache_written) - written, 1u);
}

TEST_F(SymbolCacheFolderTest, TakesNoKeyThatCouldBeAPath) {
  auto folder = Open();
  std::ofstream(base_ / "secret") << "secret";
  for (std::string key :
       {std::string("../secret"), std::string(), std::string("ab"),
        std::string(61, '0') + "/..", std::string(64, 'g'),
        std::string(64, 'A'), std::string(65, '0')}) {
    EXPECT_FALSE(folder->Load(key, Purpose::kLookUp).ok()) << key;
    EXPECT_FALSE(folder->Save(key, {}).ok()) << key;
    folder->Discard(key);
  }
  EXPECT_EQ(FileCount(), 0u);
  EXPECT_TRUE(std::filesystem::exists(base_ / "secret"));
}

TEST_F(SymbolCacheFolderTest, RemovesWhatWasUsedLongestAgo) {
  auto folder = Open(16 * 4096);
  uint64_t evicted = Counted(Counter::symbol_cache_evicted);
  for (int i = 0; i < 16; ++i) {
    ASSERT_TRUE(Save(*folder, i, 4096).ok());
    SetUsed(i, 1000 + i);
  }
  EXPECT_EQ(FileCount(), 16u);
  EXPECT_TRUE(Has(*folder, 0));  // which is a use
  ASSERT_TRUE(Save(*folder, 16, 4096).ok());
  EXPECT_FALSE(Has(*folder, 1));
  EXPECT_TRUE(Has(*folder, 0));
  EXPECT_TRUE(Has(*folder, 15));
  EXPECT_TRUE(Has(*folder, 16));
  EXPECT_GT(Counted(Counter::symbol_cache_evicted), evicted);
}

TEST_F(SymbolCacheFolderTest, StaysWithinItsBound) {
  constexpr uint64_t kBound = 40 * 4096;
  auto folder = Open(kBound);
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(Save(*folder, i % 120, 1 + i * 97 % 20'000).ok());
    uint64_t total = 0;
    for (const auto& file : std::filesystem::directory_iterator(path_)) {
      total += (file.file_size() + 4095) / 4096 * 4096;
    }
    ASSERT_LE(total, kBound);
    ASSERT_EQ(Counted(Counter::symbol_cache_disk_bytes), total);
  }
}

TEST_F(SymbolCacheFolderTest, TrimsWhatASmallerBoundLeavesOver) {
  auto large = Open();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Save(*large, i, 4096).ok());
  Open(5 * 4096);
  EXPECT_EQ(FileCount(), 5u);
}

TEST_F(SymbolCacheFolderTest, RefusesWhatIsTooLarge) {
  auto folder = Open(8192);
  EXPECT_EQ(Save(*folder, 1, 8193).code(), StatusCode::kExhausted);
  auto roomy = Open(uint64_t{1} << 30);
  EXPECT_EQ(Save(*roomy, 1, kMaxCacheFileBytes + 1).code(),
            StatusCode::kExhausted);
  EXPECT_EQ(FileCount(), 0u);
}

TEST_F(SymbolCacheFolderTest, FollowsNoLinks) {
  auto folder = Open();
  std::ofstream(base_ / "secret") << "secret";
  std::filesystem::create_symlink(base_ / "secret", path_ / KeyOf(1));
  EXPECT_FALSE(Has(*folder, 1));
  EXPECT_TRUE(Save(*folder, 1, 3).ok());  // in place of the link
  EXPECT_TRUE(Has(*folder, 1));
  EXPECT_EQ(std::filesystem::file_size(base_ / "secret"), 6u);

  std::filesystem::create_directory(base_ / "elsewhere");
  std::filesystem::remove_all(path_);
  std::filesystem::create_symlink(base_ / "elsewhere", path_);
  EXPECT_THAT(WhyNot(), HasSubstr("pprofd"));
}

TEST_F(SymbolCacheFolderTest, ReadsNothingButRegularFilesOfItsUser) {
  auto folder = Open();
  ASSERT_EQ(mkfifo((path_ / KeyOf(1)).c_str(), 0600), 0);
  EXPECT_FALSE(Has(*folder, 1));
  std::filesystem::create_directory(path_ / KeyOf(2));
  EXPECT_FALSE(Has(*folder, 2));
  EXPECT_FALSE(Save(*folder, 2, 10).ok());
  ASSERT_TRUE(Save(*folder, 3, 10).ok());
  ASSERT_EQ(chmod((path_ / KeyOf(3)).c_str(), 0666), 0);
  EXPECT_FALSE(Has(*folder, 3));
}

TEST_F(SymbolCacheFolderTest, RefusesWhatOthersMade) {
  Open();
  ASSERT_EQ(chmod(path_.c_str(), 0777), 0);
  EXPECT_THAT(WhyNot(), HasSubstr("must belong to"));
  ASSERT_EQ(chmod(path_.c_str(), 0700), 0);
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give files away";
  auto folder = Open();
  ASSERT_TRUE(Save(*folder, 1, 10).ok());
  ASSERT_EQ(chown((path_ / KeyOf(1)).c_str(), 65534, 65534), 0);
  EXPECT_FALSE(Has(*folder, 1));
  ASSERT_EQ(chown(path_.c_str(), 65534, 65534), 0);
  EXPECT_THAT(WhyNot(), HasSubstr("must belong to"));
}

TEST_F(SymbolCacheFolderTest, DoesWithoutAFolder) {
  std::ofstream(path_) << "a file";
  EXPECT_EQ(OpenSymbolCache({.path = path_, .max_bytes = 1 << 20}), nullptr);
  EXPECT_EQ(OpenSymbolCache({.path = path_ / "deeper", .max_bytes = 1 << 20}),
            nullptr);
  EXPECT_EQ(OpenSymbolCache({.path = base_, .max_bytes = 0}), nullptr);
}

TEST_F(SymbolCacheFolderTest, RemovesWhatACrashLeft) {
  Open();
  std::ofstream(path_ / (KeyOf(1) + ".7.0.new")) << "half";
  std::ofstream(path_ / "other.new") << "not ours";
  Open();
  EXPECT_EQ(FileCount(), 1u);
}

TEST_F(SymbolCacheFolderTest, LosesNothingWhenTheDiskIsFull) {
  auto folder = Open();
  ASSERT_TRUE(Save(*folder, 1, 100).ok());
  auto old_action = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  rlimit limit{.rlim_cur = 4096, .rlim_max = old_limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  Status status = Save(*folder, 1, 8192);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::signal(SIGXFSZ, old_action);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(FileCount(), 1u);
  EXPECT_EQ(std::filesystem::file_size(path_ / KeyOf(1)), 100u);
}

TEST_F(SymbolCacheFolderTest, DiscardsWhatMakesNoSense) {
  auto folder = Open();
  ASSERT_TRUE(Save(*folder, 1, 100).ok());
  uint64_t invalid = Counted(Counter::symbol_cache_invalid);
  folder->Discard(KeyOf(1));
  EXPECT_FALSE(Has(*folder, 1));
  EXPECT_EQ(Counted(Counter::symbol_cache_invalid) - invalid, 1u);
  EXPECT_EQ(Counted(Counter::symbol_cache_disk_bytes), 0u);
}

}  // namespace
}  // namespace pprofd
