// Fuzz target: files of the symbol cache, with the checksum put right, as a
// forger would.
//
// Whatever a file says stays within its bounds, and a file made from it answers
// the same.

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "symbolizer/cache_file.h"
#include "symbolizer/cache_writer.h"

namespace {

using pprofd::CacheFile;
using pprofd::CacheHeader;

constexpr size_t kMaxAddresses = 2000;
constexpr size_t kMaxCalls = 20'000;

std::vector<uint8_t> Sealed(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  if (size < sizeof(CacheHeader) + sizeof(uint64_t)) return bytes;
  CacheHeader header;
  std::memcpy(&header, data, sizeof(header));
  header.magic = pprofd::kCacheMagic;
  header.version = pprofd::kCacheVersion;
  header.file_bytes = static_cast<uint32_t>(size);
  std::memcpy(bytes.data(), &header, sizeof(header));
  size_t content = size - sizeof(uint64_t);
  uint64_t checksum = XXH3_64bits(bytes.data(), content);
  std::memcpy(bytes.data() + content, &checksum, sizeof(checksum));
  return bytes;
}

void Check(bool condition) {
  if (!condition) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)CacheFile::Open({data, size}).ok();
  std::vector<uint8_t> bytes = Sealed(data, size);
  auto file = CacheFile::Open(bytes);
  if (!file.ok()) return 0;
  pprofd::CacheWriter writer;
  std::map<uint64_t, std::vector<uint32_t>> lines;  // by address
  size_t addresses = 0;
  size_t calls_seen = 0;
  auto visitor = [&](uint64_t address, std::span<const CacheFile::Call> calls) {
    Check(calls.size() <= pprofd::kMaxCachedCalls);
    (void)file->Find(address).ok();
    std::vector<CacheFile::Call> copies(calls.begin(), calls.end());
    std::vector<uint32_t> wanted;
    for (CacheFile::Call& call : copies) {
      auto function = file->ReadFunction(call.function);
      if (!function.ok()) return false;
      auto number = writer.AddFunction(function->name, function->linkage_name,
                                       function->file, function->start_line);
      Check(number.has_value());
      call.function = *number;
      wanted.push_back(call.line);
    }
    if (!writer.Add(address, copies)) return false;
    lines.try_emplace(address, std::move(wanted));
    calls_seen += calls.size();
    return ++addresses < kMaxAddresses && calls_seen < kMaxCalls;
  };
  (void)file->Visit(visitor).ok();
  std::vector<uint8_t> copy = writer.Finish();
  auto again = CacheFile::Open(copy);
  Check(again.ok() && again->address_count() == lines.size());
  for (const auto& [address, wanted] : lines) {
    auto found = again->Find(address);
    Check(found.ok() && *found && (*found)->size() == wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      Check((**found)[i].line == wanted[i]);
    }
  }
  return 0;
}
