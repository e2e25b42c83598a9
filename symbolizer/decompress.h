// InflateZlib, InflateZstd: compressed section bodies to bytes.
//
// The output grows as bytes really come, so that a false size claim costs
// nothing.
// Thread: pure.
// Bound: max_bytes of output.
// Fails: Exhausted (claimed_bytes above max_bytes), Corrupt (bad stream, or not
//   exactly claimed_bytes).
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

}  // namespace pprofd

#endif  // SYMBOLIZER_DECOMPRESS_H_
