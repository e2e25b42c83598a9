#include "daemon/debuginfod/debug_file_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "daemon/debuginfod/temp_folder_for_test.h"

namespace pprofd {
namespace {

using testing::HasSubstr;

BuildId Id(char c) { return BuildId(std::string(20, c)); }

class DebugFileStoreTest : public testing::Test {
 protected:
  DebugFileStore Open(uint64_t max_bytes) {
    auto store = DebugFileStore::Open(folder_ / "a/store", max_bytes);
    EXPECT_TRUE(store.ok()) << store.status().message();
    return std::move(*store);
  }
  Status Adopt(DebugFileStore& store, char id, size_t bytes) {
    WriteWhole(folder_ / "new", std::string(bytes, id));
    return store.Adopt(Id(id), folder_ / "new").status();
  }

  TempFolder folder_;
};

TEST_F(DebugFileStoreTest, KeepsWhatItIsGiven) {
  DebugFileStore store = Open(1000);
  EXPECT_FALSE(store.Find(Id('a')));
  EXPECT_TRUE(Adopt(store, 'a', 300).ok());
  UniqueFd file = store.Find(Id('a'));
  ASSERT_TRUE(file);
  std::string text(400, '\0');
  EXPECT_EQ(read(file.get(), text.data(), text.size()), 300);
  EXPECT_EQ(store.bytes(), 300u);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "new"));
}

TEST_F(DebugFileStoreTest, LeastRecentlyUsedGoesFirst) {
  DebugFileStore store = Open(1000);
  for (char id : {'a', 'b', 'c'}) EXPECT_TRUE(Adopt(store, id, 300).ok());
  EXPECT_TRUE(store.Find(Id('a')));
  EXPECT_TRUE(Adopt(store, 'd', 300).ok());
  EXPECT_FALSE(store.Find(Id('b')));
  EXPECT_FALSE(std::filesystem::exists(store.PathOf(Id('b'))));
  for (char id : {'a', 'c', 'd'}) EXPECT_TRUE(store.Find(Id(id))) << id;
  EXPECT_EQ(store.bytes(), 900u);
}

TEST_F(DebugFileStoreTest, ReplacingAFileCountsItOnce) {
  DebugFileStore store = Open(1000);
  EXPECT_TRUE(Adopt(store, 'a', 600).ok());
  EXPECT_TRUE(Adopt(store, 'a', 700).ok());
  EXPECT_EQ(store.bytes(), 700u);
  EXPECT_TRUE(store.Find(Id('a')));
}

TEST_F(DebugFileStoreTest, OrderOutlivesARestart) {
  {
    DebugFileStore store = Open(1000);
    for (char id : {'a', 'b', 'c'}) EXPECT_TRUE(Adopt(store, id, 300).ok());
  }
  // As if used at these times.
  for (auto [id, seconds] : {std::pair{'a', 3}, {'b', 1}, {'c', 2}}) {
    timespec times[2] = {{seconds, 0}, {seconds, 0}};
    std::string path = folder_ / "a/store/" + Id(id).Hex() + ".debug";
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  DebugFileStore store = Open(600);
  EXPECT_EQ(store.bytes(), 600u);
  EXPECT_TRUE(store.Find(Id('a')));
  EXPECT_FALSE(store.Find(Id('b')));
  EXPECT_TRUE(store.Find(Id('c')));
}

TEST_F(DebugFileStoreTest, RefusesAFileLargerThanAllTogether) {
  DebugFileStore store = Open(1000);
  EXPECT_TRUE(Adopt(store, 'a', 300).ok());
  EXPECT_EQ(Adopt(store, 'b', 1001).code(), StatusCode::kExhausted);
  EXPECT_TRUE(store.Find(Id('a')));
}

TEST_F(DebugFileStoreTest, LeavesAloneWhatIsNotItsOwn) {
  Open(1000);
  std::string other = folder_ / "a/store/readme.txt";
  std::string link = folder_ / "a/store/" + Id('a').Hex() + ".debug";
  WriteWhole(other, std::string(2000, 'x'));
  std::filesystem::create_symlink(other, link);
  DebugFileStore store = Open(1000);
  EXPECT_EQ(store.bytes(), 0u);
  EXPECT_FALSE(store.Find(Id('a')));
  EXPECT_TRUE(std::filesystem::exists(other));
}

TEST_F(DebugFileStoreTest, ForgetsAFileThatIsGone) {
  DebugFileStore store = Open(1000);
  EXPECT_TRUE(Adopt(store, 'a', 300).ok());
  std::filesystem::remove(store.PathOf(Id('a')));
  EXPECT_FALSE(store.Find(Id('a')));
  EXPECT_EQ(store.bytes(), 0u);
}

TEST_F(DebugFileStoreTest, RefusesAFolderThatOthersMayWriteTo) {
  std::filesystem::create_directory(folder_ / "open");
  chmod((folder_ / "open").c_str(), 0777);
  auto store = DebugFileStore::Open(folder_ / "open", 1000);
  EXPECT_EQ(store.status().code(), StatusCode::kDenied);
  EXPECT_THAT(store.status().message(), HasSubstr("others may write"));
  std::filesystem::create_directory(folder_ / "own");
  std::filesystem::create_symlink(folder_ / "own", folder_ / "link");
  EXPECT_FALSE(DebugFileStore::Open(folder_ / "link", 1000).ok());
}

}  // namespace
}  // namespace pprofd
