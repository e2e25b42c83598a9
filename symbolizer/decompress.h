// InflateZlib, InflateZstd, InflateXz: compressed section bodies to bytes.
//
// The output grows as bytes really come, so that a false size claim costs
// nothing.
// Thread: pure.
// Bound: max_bytes of output; kMaxXzMemory for the decoder of xz.
// Fails: Exhausted (more than max_bytes, or than the decoder may have), Corrupt
//   (bad stream, or not exactly claimed_bytes).
#ifndef SYMBOLIZER_DECOMPRESS_H_
#define SYMBOLIZER_DECOMPRESS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "daemon/base/status.h"

namespace pprofd {

Status InflateZlib(std::span<const uint8_t> input, uint64_t claimed_bytes,
                   uint64_t max_bytes, std::vector<uint8_t>& output);
Status InflateZstd(std::span<const uint8_t> input, uint64_t claimed_bytes,
                   uint64_t max_bytes, std::vector<uint8_t>& output);

// What xz -9 asks for, and some.
inline constexpr uint64_t kMaxXzMemory = 80 << 20;
// One stream, which says nothing of its size; what follows it is left alone.
Status InflateXz(std::span<const uint8_t> input, uint64_t max_bytes,
                 std::vector<uint8_t>& output);

}  // namespace pprofd

#endif  // SYMBOLIZER_DECOMPRESS_H_
