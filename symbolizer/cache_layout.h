// The layout of a cache file: what CacheWriter writes and CacheFile reads.
//
//   CacheHeader
//   for each CacheTable: uint32_t starts[groups], then its payload
//   uint64_t checksum: XXH3 of all before it
//
// Numbers are little-endian; "v" is an unsigned LEB128. A table is records in
// groups of kGroup; starts[i] is where group i begins in the payload. Whoever
// wants a record reads its group up to it, so that nothing need be unpacked as
// a whole.
//
//   strings    v shared, v rest, bytes   sorted; `shared` bytes are those of
//   the
//                                        record before, 0 in a group's first
//   functions  v name, v linkage_name, v file, v start_line
//   calls      v parent, v function, v line, v column
//                                        parent: 0 for a physical function,
//                                        else how many records back the call
//                                        is that this one is inlined into
//   addresses  v step, v call            a group begins with the uint64_t of
//                                        its first address; `step` is from the
//                                        record before (0 in the first); the
//                                        call is the innermost one: number + 1,
//                                        0 for none, as a zigzag difference to
//                                        the record before (to 0 in the first)
//
// Strings are numbered by their order, the others by first use.
#ifndef SYMBOLIZER_CACHE_LAYOUT_H_
#define SYMBOLIZER_CACHE_LAYOUT_H_

#include <array>
#include <cstdint>

namespace pprofd {

// To be raised when the layout changes.
inline constexpr uint32_t kCacheVersion = 1;
inline constexpr std::array<char, 8> kCacheMagic{'p', 'p', 'r', 'o',
                                                 'f', 's', 'y', 'm'};

enum CacheTable { kStrings, kFunctions, kCalls, kAddresses, kCacheTables };

struct CacheHeader {
  struct Table {
    uint32_t records = 0;
    uint32_t payload_bytes = 0;
  };
  std::array<char, 8> magic = kCacheMagic;
  uint32_t version = kCacheVersion;
  uint32_t file_bytes = 0;
  std::array<Table, kCacheTables> tables{};
};
static_assert(sizeof(CacheHeader) == 48);

inline constexpr uint32_t kGroup = 16;
inline constexpr uint32_t GroupCount(uint32_t records) {
  return records / kGroup + (records % kGroup != 0 ? 1 : 0);
}

}  // namespace pprofd

#endif  // SYMBOLIZER_CACHE_LAYOUT_H_
