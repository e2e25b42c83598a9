#include "symbolizer/cache_file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace pprofd {
namespace {

Status Corrupt(const char* what) {
  return Status(StatusCode::kCorrupt, std::string("cache file: ") + what);
}

uint64_t Unzigzag(uint64_t value) {
  return (value >> 1) ^ (uint64_t{0} - (value & 1));
}

bool Fits32(uint64_t value) {
  return value <= std::numeric_limits<uint32_t>::max();
}

}  // namespace

Result<CacheFile> CacheFile::Open(std::span<const uint8_t> bytes) {
  CacheHeader header;
  uint64_t checksum = 0;
  if (bytes.size() < sizeof(header) + sizeof(checksum)) return Corrupt("short");
  if (bytes.size() > kMaxCacheFileBytes) return Corrupt("too large");
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kCacheMagic) return Corrupt("not one");
  if (header.version != kCacheVersion) {
    return Status(StatusCode::kUnsupported, "cache file: other version");
  }
  auto content = bytes.first(bytes.size() - sizeof(checksum));
  std::memcpy(&checksum, bytes.data() + content.size(), sizeof(checksum));
  if (header.file_bytes != bytes.size() ||
      checksum != XXH3_64bits(content.data(), content.size())) {
    return Corrupt("wrong checksum");
  }
  CacheFile file;
  ByteReader reader(content, sizeof(header));
  for (size_t i = 0; i < kCacheTables; ++i) {
    uint32_t records = header.tables[i].records;
    file.tables_[i] = {
        .records = records,
        .starts = reader.Bytes(uint64_t{GroupCount(records)} * 4),
        .payload = reader.Bytes(header.tables[i].payload_bytes)};
  }
  if (!reader.ok() || !reader.AtEnd()) return Corrupt("tables out of bounds");
  return file;
}

ByteReader CacheFile::Group(CacheTable table, uint32_t group) const {
  ByteReader start(tables_[table].starts, uint64_t{group} * 4);
  uint64_t offset = start.U32();
  // Past the end if there is no such group: such a reader fails.
  if (!start.ok()) offset = tables_[table].payload.size() + 1;
  return ByteReader(tables_[table].payload, offset);
}

void CacheFile::NextAddress(ByteReader& reader, AddressRecord& record) {
  record.address += reader.Uleb();
  record.call += Unzigzag(reader.Uleb());
}

Result<std::optional<std::vector<CacheFile::Call>>> CacheFile::Find(
    uint64_t address) const {
  // The last group that begins at or below the address.
  uint32_t low = 0;
  uint32_t high = GroupCount(address_count());
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    ByteReader reader = Group(kAddresses, middle);
    uint64_t first = reader.U64();
    if (!reader.ok()) return Corrupt("addresses");
    if (first <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return std::optional<std::vector<Call>>();
  uint32_t group = low - 1;
  ByteReader reader = Group(kAddresses, group);
  AddressRecord record{.address = reader.U64(), .call = 0};
  uint32_t end = std::min(kGroup, address_count() - group * kGroup);
  for (uint32_t i = 0; i < end; ++i) {
    NextAddress(reader, record);
    if (!reader.ok()) return Corrupt("addresses");
    if (record.address > address) break;
    if (record.address < address) continue;
    std::vector<Call> calls;
    RETURN_IF_ERROR(ReadChain(record.call, calls));
    return std::optional(std::move(calls));
  }
  return std::optional<std::vector<Call>>();
}

Status CacheFile::Visit(const Visitor& visitor) const {
  std::vector<Call> calls;
  for (uint32_t group = 0; group < GroupCount(address_count()); ++group) {
    ByteReader reader = Group(kAddresses, group);
    AddressRecord record{.address = reader.U64(), .call = 0};
    uint32_t end = std::min(kGroup, address_count() - group * kGroup);
    for (uint32_t i = 0; i < end; ++i) {
      NextAddress(reader, record);
      if (!reader.ok()) return Corrupt("addresses");
      calls.clear();
      RETURN_IF_ERROR(ReadChain(record.call, calls));
      if (!visitor(record.address, calls)) return Status::Ok();
    }
  }
  return Status::Ok();
}

// `call` is a number + 1.
Status CacheFile::ReadChain(uint64_t call, std::vector<Call>& calls) const {
  while (call != 0) {
    uint64_t number = call - 1;
    if (number >= tables_[kCalls].records || calls.size() >= kMaxCachedCalls) {
      return Corrupt("calls");
    }
    ByteReader reader = Group(kCalls, static_cast<uint32_t>(number) / kGroup);
    uint64_t parent = 0;
    uint64_t function = 0;
    uint64_t line = 0;
    uint64_t column = 0;
    for (uint64_t i = 0; i <= number % kGroup; ++i) {
      parent = reader.Uleb();
      function = reader.Uleb();
      line = reader.Uleb();
      column = reader.Uleb();
    }
    if (!reader.ok() || parent > number || !Fits32(line) || !Fits32(column) ||
        function >= tables_[kFunctions].records) {
      return Corrupt("calls");
    }
    calls.push_back({.function = static_cast<uint32_t>(function),
                     .line = static_cast<uint32_t>(line),
                     .column = static_cast<uint32_t>(column)});
    call = parent == 0 ? 0 : number - parent + 1;
  }
  return Status::Ok();
}

Result<CacheFile::Function> CacheFile::ReadFunction(uint32_t number) const {
  if (number >= tables_[kFunctions].records) return Corrupt("functions");
  ByteReader reader = Group(kFunctions, number / kGroup);
  uint64_t name = 0;
  uint64_t linkage_name = 0;
  uint64_t file = 0;
  uint64_t start_line = 0;
  for (uint32_t i = 0; i <= number % kGroup; ++i) {
    name = reader.Uleb();
    linkage_name = reader.Uleb();
    file = reader.Uleb();
    start_line = reader.Uleb();
  }
  if (!reader.ok() || !Fits32(start_line)) return Corrupt("functions");
  Function function;
  ASSIGN_OR_RETURN(function.name, ReadString(name));
  ASSIGN_OR_RETURN(function.linkage_name, ReadString(linkage_name));
  ASSIGN_OR_RETURN(function.file, ReadString(file));
  function.start_line = static_cast<uint32_t>(start_line);
  return function;
}

Result<std::string> CacheFile::ReadString(uint64_t number) const {
  if (number >= tables_[kStrings].records) return Corrupt("strings");
  ByteReader reader = Group(kStrings, static_cast<uint32_t>(number) / kGroup);
  std::string text;
  for (uint64_t i = 0; i <= number % kGroup; ++i) {
    uint64_t shared = reader.Uleb();
    auto rest = reader.Bytes(reader.Uleb());
    if (!reader.ok() || shared > text.size() ||
        rest.size() > kMaxCachedText - shared) {
      return Corrupt("strings");
    }
    text.resize(shared);
    text.append(rest.begin(), rest.end());
  }
  return text;
}

}  // namespace pprofd
