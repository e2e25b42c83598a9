#include "daemon/unwind/chunk_space.h"

#include <algorithm>

namespace pprofd {
namespace {

constexpr uint64_t kUnit = PPROFD_REFERENCE_UNIT;

}  // namespace

ChunkSpace::ChunkSpace(MapWriter* writer, size_t max_bytes)
    : writer_(writer),
      max_chunks_(static_cast<uint32_t>(std::clamp<size_t>(
          max_bytes / PPROFD_CHUNK_BYTES, 1, PPROFD_MAX_CHUNKS))) {}

Result<Extent> ChunkSpace::Allocate(size_t bytes) {
  uint64_t size = (bytes + kUnit - 1) / kUnit * kUnit;
  auto fit = by_size_.lower_bound({size, 0});
  if (fit == by_size_.end()) {
    RETURN_IF_ERROR(AddChunk());
    fit = by_size_.lower_bound({size, 0});
    if (fit == by_size_.end()) {
      return Status(StatusCode::kExhausted, "piece larger than a chunk");
    }
  }
  auto [free_size, start] = *fit;
  RemoveFree(free_.find(start));
  if (free_size > size) AddFree(start + size, free_size - size);
  used_bytes_ += size;
  return Extent{static_cast<uint32_t>(start / kUnit),
                static_cast<uint32_t>(size)};
}

void ChunkSpace::Free(Extent extent) {
  uint64_t start = uint64_t{extent.reference} * kUnit;
  uint64_t size = extent.bytes;
  used_bytes_ -= size;
  auto next = free_.lower_bound(start);
  bool joins_next = next != free_.end() && next->first == start + size &&
                    next->first % PPROFD_CHUNK_BYTES != 0;
  if (joins_next) {
    size += next->second;
    auto gone = next++;
    RemoveFree(gone);
  }
  if (next != free_.begin()) {
    auto previous = std::prev(next);
    if (previous->first + previous->second == start &&
        start % PPROFD_CHUNK_BYTES != 0) {
      start = previous->first;
      size += previous->second;
      RemoveFree(previous);
    }
  }
  AddFree(start, size);
}

std::span<uint8_t> ChunkSpace::Bytes(Extent extent) {
  uint64_t start = uint64_t{extent.reference} * kUnit;
  return chunks_[start / PPROFD_CHUNK_BYTES].subspan(start % PPROFD_CHUNK_BYTES,
                                                     extent.bytes);
}

Status ChunkSpace::AddChunk() {
  if (chunks_.size() == max_chunks_) {
    return Status(StatusCode::kExhausted, "unwind table budget spent");
  }
  ASSIGN_OR_RETURN(std::span<uint8_t> chunk, writer_->AddChunk());
  if (chunk.size() < PPROFD_CHUNK_BYTES) {
    return Status(StatusCode::kIo, "chunk of the unwind tables is too small");
  }
  // Reference 0 means "nothing", so the space starts behind it.
  uint64_t reserved = chunks_.empty() ? kUnit : 0;
  AddFree(chunks_.size() * PPROFD_CHUNK_BYTES + reserved,
          PPROFD_CHUNK_BYTES - reserved);
  chunks_.push_back(chunk);
  return Status::Ok();
}

void ChunkSpace::AddFree(uint64_t start, uint64_t size) {
  free_.emplace(start, size);
  by_size_.emplace(size, start);
}

void ChunkSpace::RemoveFree(std::map<uint64_t, uint64_t>::iterator entry) {
  by_size_.erase({entry->second, entry->first});
  free_.erase(entry);
}

}  // namespace pprofd
