#include "symbolizer/content_key.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "daemon/base/unique_handle.h"
#include "symbolizer/symbol_store.h"

namespace pprofd {
namespace {

using std::chrono::steady_clock;

steady_clock::time_point Later() {
  return steady_clock::now() + std::chrono::hours(1);
}

UniqueFd FileOf(const std::string& text) {
  UniqueFd file(memfd_create("content", MFD_CLOEXEC));
  EXPECT_EQ(write(file.get(), text.data(), text.size()),
            static_cast<ssize_t>(text.size()));
  return file;
}

// Sparse.
UniqueFd LargeFile(uint64_t size) {
  UniqueFd file(memfd_create("content", MFD_CLOEXEC));
  EXPECT_EQ(ftruncate(file.get(), static_cast<off_t>(size)), 0);
  return file;
}

std::string KeyOf(std::initializer_list<int> files, const char* reader = "1") {
  auto key = ContentKey(std::vector<int>(files), reader, Later());
  EXPECT_TRUE(key.ok()) << key.status().ToString();
  return key.ok() ? *key : "";
}

TEST(ContentKey, IsThatOfTheContent) {
  UniqueFd one = FileOf("same");
  UniqueFd two = FileOf("same");
  UniqueFd other = FileOf("sama");
  EXPECT_TRUE(IsSymbolKey(KeyOf({one.get()})));
  EXPECT_EQ(KeyOf({one.get()}), KeyOf({two.get()}));
  EXPECT_NE(KeyOf({one.get()}), KeyOf({other.get()}));
  EXPECT_NE(KeyOf({one.get()}, "1"), KeyOf({one.get()}, "2"));
}

TEST(ContentKey, TellsPlacesApart) {
  UniqueFd a = FileOf("a");
  UniqueFd b = FileOf("b");
  EXPECT_NE(KeyOf({a.get(), b.get(), -1}), KeyOf({a.get(), -1, b.get()}));
  EXPECT_NE(KeyOf({a.get(), b.get(), -1}), KeyOf({b.get(), a.get(), -1}));
  EXPECT_NE(KeyOf({a.get(), -1, -1}), KeyOf({a.get()}));
}

TEST(ContentKey, TellsOwnersApart) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give files away";
  UniqueFd mine = FileOf("same");
  UniqueFd theirs = FileOf("same");
  ASSERT_EQ(fchown(theirs.get(), 65534, 65534), 0);
  EXPECT_NE(KeyOf({mine.get()}), KeyOf({theirs.get()}));
}

TEST(ContentKey, OfALargeFileIsItsOwn) {
  UniqueFd limit = LargeFile(kMaxHashedBytes);
  UniqueFd limit_copy = LargeFile(kMaxHashedBytes);
  EXPECT_EQ(KeyOf({limit.get()}), KeyOf({limit_copy.get()}));
  UniqueFd large = LargeFile(kMaxHashedBytes + 1);
  UniqueFd large_copy = LargeFile(kMaxHashedBytes + 1);
  EXPECT_EQ(KeyOf({large.get()}), KeyOf({large.get()}));
  EXPECT_NE(KeyOf({large.get()}), KeyOf({large_copy.get()}));
}

TEST(ContentKey, TakesNoMoreTimeThanThereIs) {
  UniqueFd file = FileOf("text");
  auto key = ContentKey(std::array{file.get()}, "1", steady_clock::now());
  EXPECT_EQ(key.status().code(), StatusCode::kTimeout);
}

TEST(FileIdentity, ChangesWithTheContent) {
  UniqueFd file = FileOf("text");
  FileIdentity before = IdentityOf(file.get());
  EXPECT_EQ(IdentityOf(file.get()), before);
  ASSERT_EQ(ftruncate(file.get(), 1), 0);
  EXPECT_FALSE(IdentityOf(file.get()) == before);
  EXPECT_EQ(IdentityOf(-1), FileIdentity());
}

}  // namespace
}  // namespace pprofd
