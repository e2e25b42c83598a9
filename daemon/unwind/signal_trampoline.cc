#include "daemon/unwind/signal_trampoline.h"

#include <algorithm>
#include <cstring>

namespace pprofd {
namespace {

// The end that both encodings share: $15 as 32 bits, then syscall.
constexpr uint8_t kTail[] = {0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};
constexpr uint8_t kMovRax[] = {0x48, 0xc7, 0xc0};
constexpr uint8_t kMovEax[] = {0xb8};

// Shorter gaps are padding of functions aligned to 16 bytes; passing them by
// saves reading every page of the text.
constexpr uint64_t kMinGapBytes = 16;

// Bytes of the mov instruction that ends at `end`, 0 if there is none.
uint64_t MovBytesBefore(std::span<const uint8_t> text, size_t end) {
  auto ends_with = [&](std::span<const uint8_t> head) {
    return end >= head.size() && std::memcmp(text.data() + end - head.size(),
                                             head.data(), head.size()) == 0;
  };
  if (ends_with(kMovRax)) return sizeof(kMovRax);
  if (ends_with(kMovEax)) return sizeof(kMovEax);
  return 0;
}

}  // namespace

std::vector<FileRange> FindSignalTrampolines(
    std::span<const uint8_t> file_bytes, const std::vector<FileRange>& gaps) {
  std::vector<FileRange> found;
  uint64_t budget = kMaxScannedBytes;
  for (const FileRange& gap : gaps) {
    if (gap.start >= file_bytes.size()) break;
    if (gap.limit - gap.start < kMinGapBytes) continue;
    uint64_t limit = std::min<uint64_t>(gap.limit, file_bytes.size());
    uint64_t size = std::min(limit - gap.start, budget);
    budget -= size;
    std::span<const uint8_t> text = file_bytes.subspan(gap.start, size);
    size_t from = 0;
    while (const void* hit =
               memchr(text.data() + from, kTail[sizeof(kTail) - 1],
                      text.size() - from)) {
      from = static_cast<const uint8_t*>(hit) - text.data() + 1;
      if (from < sizeof(kTail)) continue;
      size_t tail = from - sizeof(kTail);
      if (std::memcmp(text.data() + tail, kTail, sizeof(kTail)) != 0) continue;
      uint64_t mov_bytes = MovBytesBefore(text, tail);
      if (mov_bytes == 0) continue;
      uint64_t start = gap.start + tail - mov_bytes;
      found.push_back({start == 0 ? 0 : start - 1, gap.start + from});
    }
  }
  return found;
}

}  // namespace pprofd
