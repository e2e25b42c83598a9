#include "symbolizer/cache_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "symbolizer/cache_writer.h"

namespace pprofd {
namespace {

using testing::ElementsAre;

using Bytes8 = std::vector<uint8_t>;

// "name|linkage_name|file:start_line @line:column", innermost first.
using Shown = std::vector<std::string>;

Shown Show(const CacheFile& file, uint64_t address) {
  auto found = file.Find(address);
  if (!found.ok()) return {found.status().ToString()};
  if (!*found) return {"unknown"};
  Shown shown;
  for (const CacheFile::Call& call : **found) {
    auto function = file.ReadFunction(call.function);
    if (!function.ok()) return {function.status().ToString()};
    shown.push_back(
        function->name + "|" + function->linkage_name + "|" + function->file +
        ":" + std::to_string(function->start_line) + " @" +
        std::to_string(call.line) + ":" + std::to_string(call.column));
  }
  return shown;
}

// Reads all there is, in whatever way.
void ReadAll(const Bytes8& bytes) {
  auto file = CacheFile::Open(bytes);
  if (!file.ok()) return;
  Status status =
      file->Visit([&](uint64_t address, std::span<const CacheFile::Call>) {
        Show(*file, address);
        return true;
      });
  for (uint64_t address : {uint64_t{0}, uint64_t{0x1000}, UINT64_MAX}) {
    Show(*file, address);
  }
  EXPECT_TRUE(status.ok() || status.code() == StatusCode::kCorrupt);
}

void Seal(Bytes8& bytes) {
  uint64_t checksum = XXH3_64bits(bytes.data(), bytes.size() - 8);
  std::memcpy(bytes.data() + bytes.size() - 8, &checksum, 8);
}

Bytes8 SmallFile() {
  CacheWriter writer;
  uint32_t inner = *writer.AddFunction("inner", "_Z5innerv", "/src/a.h", 3);
  uint32_t outer = *writer.AddFunction("outer", "_Z5outerv", "/src/a.cc", 10);
  for (uint64_t i = 0; i < 40; ++i) {
    uint64_t address = 0x1000 + 3 * i;
    CacheFile::Call in{.function = inner,
                       .line = static_cast<uint32_t>(4 + i % 3),
                       .column = 7};
    CacheFile::Call out{.function = outer, .line = 12, .column = 0};
    if (i % 5 == 0) {
      EXPECT_TRUE(writer.Add(address, {}));
    } else if (i % 2 == 0) {
      EXPECT_TRUE(writer.Add(address, std::array{in, out}));
    } else {
      EXPECT_TRUE(writer.Add(address, std::array{out}));
    }
  }
  return writer.Finish();
}

TEST(CacheFile, AnswersWhatWasWritten) {
  Bytes8 bytes = SmallFile();
  auto file = CacheFile::Open(bytes);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ(file->address_count(), 40u);
  EXPECT_THAT(Show(*file, 0x1000), ElementsAre());
  EXPECT_THAT(Show(*file, 0x1003),
              ElementsAre("outer|_Z5outerv|/src/a.cc:10 @12:0"));
  EXPECT_THAT(Show(*file, 0x1006),
              ElementsAre("inner|_Z5innerv|/src/a.h:3 @6:7",
                          "outer|_Z5outerv|/src/a.cc:10 @12:0"));
  for (uint64_t address : {0x0, 0xfff, 0x1001, 0x1032, 0x1076, 0x9999}) {
    EXPECT_THAT(Show(*file, address), ElementsAre("unknown")) << address;
  }
}

TEST(CacheFile, MayBeEmpty) {
  Bytes8 bytes = CacheWriter().Finish();
  auto file = CacheFile::Open(bytes);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_THAT(Show(*file, 0), ElementsAre("unknown"));
}

TEST(CacheFile, KeepsExtremes) {
  CacheWriter writer;
  std::string name(kMaxCachedText, 'n');
  std::string binary("\0\xff", 2);
  uint32_t function = *writer.AddFunction(name, binary, "", UINT32_MAX);
  CacheFile::Call call{
      .function = function, .line = UINT32_MAX, .column = UINT32_MAX};
  std::vector<CacheFile::Call> deepest(kMaxCachedCalls, call);
  for (uint64_t address : {uint64_t{0}, UINT64_MAX}) {
    EXPECT_TRUE(writer.Add(address, deepest));
  }
  deepest.push_back(call);
  EXPECT_TRUE(writer.Add(7, deepest));  // is left out
  EXPECT_FALSE(writer.AddFunction(name + "n", "", "", 0));
  Bytes8 bytes = writer.Finish();
  auto file = CacheFile::Open(bytes);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ(file->address_count(), 2u);
  for (uint64_t address : {uint64_t{0}, UINT64_MAX}) {
    Shown shown = Show(*file, address);
    ASSERT_EQ(shown.size(), kMaxCachedCalls);
    EXPECT_EQ(shown.back(),
              name + "|" + binary + "|:4294967295 @4294967295:4294967295");
  }
}

// Thousands of functions, with chains that share callers.
TEST(CacheFile, AnswersWhatWasWrittenAtRandom) {
  std::mt19937_64 random(1);
  CacheWriter writer;
  std::map<uint64_t, std::vector<CacheFile::Call>> wanted;
  std::vector<uint32_t> functions;
  auto text = [](uint64_t i) { return "_ZN4name" + std::to_string(i); };
  for (uint32_t i = 0; i < 3000; ++i) {
    functions.push_back(
        *writer.AddFunction(text(i), text(i * i), text(i % 20), i));
  }
  for (int i = 0; i < 20'000; ++i) {
    uint64_t address = random() % 100'000 * (random() % 100'000);
    if (wanted.contains(address)) continue;
    std::vector<CacheFile::Call> calls;
    for (uint64_t depth = random() % 6; depth > 0; --depth) {
      calls.push_back({.function = functions[random() % functions.size()],
                       .line = static_cast<uint32_t>(random() % 5000),
                       .column = static_cast<uint32_t>(random() % 80)});
    }
    ASSERT_TRUE(writer.Add(address, calls));
    wanted[address] = calls;
  }
  Bytes8 bytes = writer.Finish();
  auto file = CacheFile::Open(bytes);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  auto next = wanted.begin();
  Status status = file->Visit([&](uint64_t address, auto calls) {
    EXPECT_EQ(address, next->first);
    EXPECT_EQ(calls.size(), next->second.size());
    auto found = file->Find(address);
    EXPECT_TRUE(found.ok() && *found);
    for (size_t i = 0; i < calls.size(); ++i) {
      auto function = file->ReadFunction((**found)[i].function);
      EXPECT_TRUE(function.ok());
      EXPECT_EQ(function->name, text(function->start_line));
      EXPECT_EQ(function->start_line, next->second[i].function);
      EXPECT_EQ((**found)[i].line, next->second[i].line);
      EXPECT_EQ((**found)[i].column, next->second[i].column);
    }
    ++next;
    return !testing::Test::HasFailure();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(next == wanted.end());
}

TEST(CacheFile, OrderOfWritingDoesNotMatter) {
  auto write = [](bool is_reverse) {
    CacheWriter writer;
    for (uint32_t i = 0; i < 100; ++i) {
      uint32_t k = is_reverse ? 99 - i : i;
      uint32_t function =
          *writer.AddFunction(std::to_string(k / 3), "", "/a", k / 3);
      writer.Add(k, std::array{CacheFile::Call{
                        .function = function, .line = k, .column = 0}});
    }
    return writer.Finish();
  };
  EXPECT_EQ(write(false), write(true));
}

TEST(CacheFile, FirstCallsAtAnAddressStay) {
  CacheWriter writer;
  uint32_t function = *writer.AddFunction("new", "", "", 0);
  CacheFile::Call call{.function = function, .line = 1, .column = 0};
  writer.Add(8, std::array{call});
  writer.Add(8, {});
  Bytes8 bytes = writer.Finish();
  EXPECT_THAT(Show(*CacheFile::Open(bytes), 8), ElementsAre("new||:0 @1:0"));
}

TEST(CacheFile, NeverGrowsAboveItsBound) {
  CacheWriter writer;
  bool has_room = true;
  uint32_t added = 0;
  for (uint32_t i = 0; i < 10'000 && has_room; ++i) {
    uint32_t function = *writer.AddFunction(
        std::to_string(i) + std::string(10'000, 'x'), "", "", i);
    CacheFile::Call call{.function = function, .line = i, .column = i};
    has_room = writer.Add(i, std::array{call});
    if (has_room) ++added;
  }
  EXPECT_FALSE(has_room);
  EXPECT_GT(added, 1000u);
  Bytes8 bytes = writer.Finish();
  EXPECT_LE(bytes.size(), kMaxCacheFileBytes);
  auto file = CacheFile::Open(bytes);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ(file->address_count(), added);
}

TEST(CacheFile, IsRefusedWhenCutAnywhere) {
  Bytes8 bytes = SmallFile();
  for (size_t size = 0; size < bytes.size(); ++size) {
    Bytes8 cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(CacheFile::Open(cut).ok()) << size;
  }
  bytes.push_back(0);
  EXPECT_FALSE(CacheFile::Open(bytes).ok());
}

TEST(CacheFile, IsRefusedWhenAnyBitIsFlipped) {
  const Bytes8 bytes = SmallFile();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes8 flipped = bytes;
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(CacheFile::Open(flipped).ok()) << bit;
  }
}

// The checksum is no secret.
TEST(CacheFile, StaysWithinItsBoundsWhenAForgerSealsIt) {
  const Bytes8 bytes = SmallFile();
  for (size_t i = 0; i + 8 < bytes.size(); ++i) {
    for (int value : {0, 1, 0x7f, 0x80, 0xff, bytes[i] ^ 1, bytes[i] + 1}) {
      Bytes8 forged = bytes;
      forged[i] = static_cast<uint8_t>(value);
      Seal(forged);
      ReadAll(forged);
    }
  }
  std::mt19937 random(2);
  for (int round = 0; round < 2000; ++round) {
    Bytes8 forged = bytes;
    for (int i = 0; i < 8; ++i) {
      forged[48 + random() % (forged.size() - 56)] =
          static_cast<uint8_t>(random());
    }
    Seal(forged);
    ReadAll(forged);
  }
}

}  // namespace
}  // namespace pprofd
