// CacheFile: a view over the bytes of a cache file: address → calls.
//
// Made to be mapped and looked into where it lies: Open() checks the checksum,
// so that a file that was cut or changed is refused as a whole, and each
// look-up reads a few groups (cache_layout.h). Bytes that make no sense in
// spite of their checksum are an answer, too.
// Borrows: the bytes. Thread: immutable.
// Bound: kMaxCacheFileBytes, kMaxCachedCalls at an address, kMaxCachedText.
// Fails: Corrupt; Unsupported for another version.
#ifndef SYMBOLIZER_CACHE_FILE_H_
#define SYMBOLIZER_CACHE_FILE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/base/status.h"
#include "symbolizer/byte_reader.h"
#include "symbolizer/cache_layout.h"

namespace pprofd {

inline constexpr uint64_t kMaxCacheFileBytes = 16 << 20;
inline constexpr size_t kMaxCachedCalls = 1024;
inline constexpr size_t kMaxCachedText = 64 << 10;

class CacheFile {
 public:
  struct Call {
    uint32_t function = 0;
    uint32_t line = 0;
    uint32_t column = 0;
  };
  struct Function {
    std::string name;
    std::string linkage_name;
    std::string file;
    uint32_t start_line = 0;
  };

  static Result<CacheFile> Open(std::span<const uint8_t> bytes);

  uint32_t address_count() const { return tables_[kAddresses].records; }

  // Innermost call first; none when the address is not known.
  Result<std::optional<std::vector<Call>>> Find(uint64_t address) const;
  // `number` is that of a Call.
  Result<Function> ReadFunction(uint32_t number) const;

  // All of them, in order, until the visitor returns false.
  using Visitor =
      std::function<bool(uint64_t address, std::span<const Call> calls)>;
  Status Visit(const Visitor& visitor) const;

 private:
  struct Table {
    uint32_t records = 0;
    std::span<const uint8_t> starts;
    std::span<const uint8_t> payload;
  };
  struct AddressRecord {
    uint64_t address = 0;
    uint64_t call = 0;  // number + 1; 0: none
  };

  // At the start of a group.
  ByteReader Group(CacheTable table, uint32_t group) const;
  static void NextAddress(ByteReader& reader, AddressRecord& record);
  Status ReadChain(uint64_t call, std::vector<Call>& calls) const;
  Result<std::string> ReadString(uint64_t number) const;

  std::array<Table, kCacheTables> tables_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_CACHE_FILE_H_
