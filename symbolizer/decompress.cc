#include "symbolizer/decompress.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

namespace pprofd {
namespace {

constexpr uint64_t kFirstBytes = 1 << 20;
constexpr uint64_t kMaxChunk = 1 << 30;  // zlib counts in 32 bits

Status CheckClaim(uint64_t claimed_bytes, uint64_t max_bytes) {
  if (claimed_bytes > max_bytes) {
    return Status(StatusCode::kExhausted, "decompressed size above the limit");
  }
  return Status::Ok();
}

Status BadStream() {
  return Status(StatusCode::kCorrupt, "bad compressed stream");
}

// Makes room for more output; false when all claimed bytes are there.
bool Grow(std::vector<uint8_t>& output, uint64_t used, uint64_t claimed_bytes) {
  if (used < output.size()) return true;
  if (output.size() >= claimed_bytes) return false;
  output.resize(std::min(claimed_bytes,
                         std::max<uint64_t>(kFirstBytes, output.size() * 2)));
  return true;
}

}  // namespace

Status InflateZlib(std::span<const uint8_t> input, uint64_t claimed_bytes,
                   uint64_t max_bytes, std::vector<uint8_t>& output) {
  RETURN_IF_ERROR(CheckClaim(claimed_bytes, max_bytes));
  z_stream stream = {};
  if (inflateInit(&stream) != Z_OK) return BadStream();
  std::unique_ptr<z_stream, int (*)(z_stream*)> cleanup(&stream, inflateEnd);
  output.clear();
  uint64_t used = 0;
  uint64_t read = 0;
  int code = Z_OK;
  while (code == Z_OK && Grow(output, used, claimed_bytes)) {
    uint64_t in = std::min<uint64_t>(kMaxChunk, input.size() - read);
    uint64_t out = std::min<uint64_t>(kMaxChunk, output.size() - used);
    stream.next_in = const_cast<Bytef*>(input.data() + read);
    stream.avail_in = static_cast<uInt>(in);
    stream.next_out = output.data() + used;
    stream.avail_out = static_cast<uInt>(out);
    code = inflate(&stream, Z_NO_FLUSH);
    read += in - stream.avail_in;
    used += out - stream.avail_out;
  }
  if (code == Z_OK) {  // all claimed bytes are there: nothing may follow
    uint8_t extra;
    stream.next_out = &extra;
    stream.avail_out = 1;
    code = inflate(&stream, Z_NO_FLUSH);
    if (stream.avail_out == 0) return BadStream();
  }
  if (code != Z_STREAM_END || used != claimed_bytes) return BadStream();
  output.resize(used);
  return Status::Ok();
}

Status InflateZstd(std::span<const uint8_t> input, uint64_t claimed_bytes,
                   uint64_t max_bytes, std::vector<uint8_t>& output) {
  RETURN_IF_ERROR(CheckClaim(claimed_bytes, max_bytes));
  std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                             ZSTD_freeDCtx);
  if (context == nullptr) return BadStream();
  output.clear();
  uint64_t used = 0;
  ZSTD_inBuffer in{input.data(), input.size(), 0};
  size_t code = 1;  // 0: the frame is complete
  while (Grow(output, used, claimed_bytes)) {
    ZSTD_outBuffer out{output.data() + used, output.size() - used, 0};
    size_t in_before = in.pos;
    code = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(code)) return BadStream();
    used += out.pos;
    if (out.pos == 0 && in.pos == in_before) break;
  }
  if (code != 0 || used != claimed_bytes) return BadStream();
  output.resize(used);
  return Status::Ok();
}

Status InflateXz(std::span<const uint8_t> input, uint64_t max_bytes,
                 std::vector<uint8_t>& output) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, kMaxXzMemory, 0) != LZMA_OK) {
    return BadStream();
  }
  std::unique_ptr<lzma_stream, void (*)(lzma_stream*)> cleanup(&stream,
                                                               lzma_end);
  output.clear();
  stream.next_in = input.data();
  stream.avail_in = input.size();
  lzma_ret code = LZMA_OK;
  // One byte more than allowed tells a stream that is too long from one that
  // ends there.
  while (code == LZMA_OK && Grow(output, stream.total_out, max_bytes + 1)) {
    stream.next_out = output.data() + stream.total_out;
    stream.avail_out = output.size() - stream.total_out;
    code = lzma_code(&stream, LZMA_FINISH);
  }
  if (stream.total_out > max_bytes) {
    return Status(StatusCode::kExhausted, "decompressed size above the limit");
  }
  if (code == LZMA_MEMLIMIT_ERROR || code == LZMA_MEM_ERROR) {
    return Status(StatusCode::kExhausted, "xz stream needs too much memory");
  }
  if (code != LZMA_STREAM_END) return BadStream();
  output.resize(stream.total_out);
  return Status::Ok();
}

}  // namespace pprofd
