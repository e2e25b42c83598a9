// TableReader: looks a file offset up in encoded tables, byte by byte as
// bpf/abi.h describes them.
//
// The slow and plain reading that the encoder and the kernel half are tested
// against; it shares no code with either.
// Borrows: the chunks.
// Thread: pure.
#ifndef DAEMON_UNWIND_TABLE_READER_H_
#define DAEMON_UNWIND_TABLE_READER_H_

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "bpf/abi.h"

namespace pprofd {

class TableReader {
 public:
  explicit TableReader(std::span<const std::span<uint8_t>> chunks)
      : chunks_(chunks) {}

  // The global number of the rule at a file offset: 0 where there are no rows,
  // none where the table is malformed.
  std::optional<uint16_t> RuleNumber(const pprofd_module& module,
                                     uint64_t file_offset) const {
    uint64_t page = file_offset / 65536;
    if (module.directory == 0 || page < module.first_page ||
        page - module.first_page >= module.page_count) {
      return 0;
    }
    const uint64_t directory = uint64_t{module.directory} * 8;
    auto piece = At<uint32_t>(directory + 4 * (page - module.first_page));
    if (!piece) return std::nullopt;
    if (*piece == 0) return 0;
    const uint64_t piece_start = uint64_t{*piece} * 8;
    auto entry = At<uint32_t>(piece_start + 4 * (file_offset % 65536 / 256));
    if (!entry) return std::nullopt;
    if (*entry >= 0x80000000) return static_cast<uint16_t>(*entry & 0xffff);
    const uint64_t block = piece_start + uint64_t{*entry & 0x3fffff} * 8;
    const uint64_t slots = ((*entry >> 22 & 63) + 1) * 8;
    if (slots > 256) return std::nullopt;
    uint64_t at_or_below = 0;
    for (uint64_t i = 0; i < slots; ++i) {
      auto pc = At<uint8_t>(block + i);
      if (!pc) return std::nullopt;
      if (*pc <= file_offset % 256) ++at_or_below;
    }
    if (at_or_below == 0) return std::nullopt;
    return At<uint16_t>(block + slots + 2 * (at_or_below - 1));
  }

 private:
  template <typename T>
  std::optional<T> At(uint64_t position) const {
    const uint64_t chunk = position / PPROFD_CHUNK_BYTES;
    const uint64_t into = position % PPROFD_CHUNK_BYTES;
    if (chunk >= chunks_.size() || into + sizeof(T) > PPROFD_CHUNK_BYTES) {
      return std::nullopt;
    }
    T value;
    std::memcpy(&value, chunks_[chunk].data() + into, sizeof(T));
    return value;
  }

  std::span<const std::span<uint8_t>> chunks_;
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_TABLE_READER_H_
