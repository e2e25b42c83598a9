// ChunkSpace: allocates pieces of the chunk space that all tables live in.
//
// Best fit over a sorted list of free extents, neighbours joined again when
// freed; nothing straddles two chunks. The bookkeeping is on our side: the
// chunks hold nothing but tables.
// Borrows: MapWriter, which owns the chunks.
// Thread: process thread only.
// Bound: max_bytes, rounded down to chunks, at least one and at most
//   PPROFD_MAX_CHUNKS.
// Fails: Exhausted when no free extent is large enough; what AddChunk says.
#ifndef DAEMON_UNWIND_CHUNK_SPACE_H_
#define DAEMON_UNWIND_CHUNK_SPACE_H_

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "daemon/model/map_writer.h"

namespace pprofd {

// Allocated bytes; `reference` as in bpf/abi.h.
struct Extent {
  uint32_t reference = 0;
  uint32_t bytes = 0;
};

class ChunkSpace {
 public:
  ChunkSpace(MapWriter* writer, size_t max_bytes);
  ChunkSpace(const ChunkSpace&) = delete;
  ChunkSpace& operator=(const ChunkSpace&) = delete;

  // Room for `bytes`, rounded up to 8; its old content is still there.
  // REQUIRES: 0 < bytes <= PPROFD_CHUNK_BYTES - 8.
  Result<Extent> Allocate(size_t bytes);
  // REQUIRES: an extent of Allocate, once.
  void Free(Extent extent);
  std::span<uint8_t> Bytes(Extent extent);

  size_t used_bytes() const { return used_bytes_; }
  size_t max_bytes() const {
    return static_cast<size_t>(max_chunks_) * PPROFD_CHUNK_BYTES;
  }

 private:
  Status AddChunk();
  void AddFree(uint64_t start, uint64_t size);
  void RemoveFree(std::map<uint64_t, uint64_t>::iterator entry);

  MapWriter* const writer_;
  const uint32_t max_chunks_;

  std::vector<std::span<uint8_t>> chunks_;
  std::map<uint64_t, uint64_t> free_;                // start -> size, bytes
  std::set<std::pair<uint64_t, uint64_t>> by_size_;  // {size, start}
  size_t used_bytes_ = 0;
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_CHUNK_SPACE_H_
