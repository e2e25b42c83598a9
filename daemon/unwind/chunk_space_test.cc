#include "daemon/unwind/chunk_space.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "daemon/unwind/fake_map_writer.h"

namespace pprofd {
namespace {

TEST(ChunkSpace, ReferenceZeroIsNeverGiven) {
  FakeMapWriter writer;
  ChunkSpace space(&writer, PPROFD_CHUNK_BYTES);
  Result<Extent> extent = space.Allocate(1);
  ASSERT_TRUE(extent.ok());
  EXPECT_EQ(extent->reference, 1u);
  EXPECT_EQ(extent->bytes, 8u);
}

TEST(ChunkSpace, NothingStraddlesTwoChunks) {
  FakeMapWriter writer;
  ChunkSpace space(&writer, 2 * PPROFD_CHUNK_BYTES);
  ASSERT_TRUE(space.Allocate(PPROFD_CHUNK_BYTES - 108).ok());
  Result<Extent> second = space.Allocate(200);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->reference, PPROFD_CHUNK_BYTES / 8);
}

TEST(ChunkSpace, ChunksAreAddedUpToTheBudget) {
  FakeMapWriter writer;
  ChunkSpace space(&writer, 2 * PPROFD_CHUNK_BYTES);
  EXPECT_TRUE(space.Allocate(PPROFD_CHUNK_BYTES - 8).ok());
  EXPECT_TRUE(space.Allocate(PPROFD_CHUNK_BYTES).ok());
  EXPECT_EQ(space.Allocate(8).status().code(), StatusCode::kExhausted);
  EXPECT_EQ(writer.chunks.size(), 2u);
}

TEST(ChunkSpace, FreedNeighboursAreJoined) {
  FakeMapWriter writer;
  ChunkSpace space(&writer, PPROFD_CHUNK_BYTES);
  std::vector<Extent> extents;
  for (Result<Extent> next = space.Allocate(4096); next.ok();
       next = space.Allocate(4096)) {
    extents.push_back(*next);
  }
  std::shuffle(extents.begin(), extents.end(), std::mt19937(7));
  for (Extent extent : extents) space.Free(extent);
  EXPECT_EQ(space.used_bytes(), 0u);
  EXPECT_TRUE(space.Allocate(PPROFD_CHUNK_BYTES - 8).ok());
}

TEST(ChunkSpace, ExtentsDoNotOverlap) {
  FakeMapWriter writer;
  ChunkSpace space(&writer, 4 * PPROFD_CHUNK_BYTES);
  std::mt19937 random(7);
  std::vector<std::pair<Extent, uint8_t>> held;
  uint8_t mark = 0;
  for (int i = 0; i < 5000; ++i) {
    if (random() % 3 == 0 && !held.empty()) {
      std::swap(held[random() % held.size()], held.back());
      auto [extent, expected] = held.back();
      for (uint8_t byte : space.Bytes(extent)) ASSERT_EQ(byte, expected);
      space.Free(extent);
      held.pop_back();
      continue;
    }
    Result<Extent> extent = space.Allocate(1 + random() % 3000);
    if (!extent.ok()) continue;
    std::span<uint8_t> bytes = space.Bytes(*extent);
    std::fill(bytes.begin(), bytes.end(), ++mark);
    held.emplace_back(*extent, mark);
  }
}

}  // namespace
}  // namespace pprofd
