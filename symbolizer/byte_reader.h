// ByteReader: a cursor over little-endian bytes that cannot leave them.
//
// Reading past the end gives zeros and makes ok() false for good, so that a
// parser may read a whole record and check once.
// Borrows: the bytes.
// Thread: one thread.
#ifndef SYMBOLIZER_BYTE_READER_H_
#define SYMBOLIZER_BYTE_READER_H_

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace pprofd {

class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes, uint64_t offset = 0)
      : bytes_(bytes), offset_(offset) {
    if (offset > bytes.size()) Fail();
  }

  bool ok() const { return ok_; }
  bool AtEnd() const { return offset_ >= bytes_.size(); }
  std::span<const uint8_t> bytes() const { return bytes_; }
  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

  uint8_t U8() { return Fixed<uint8_t>(); }
  uint16_t U16() { return Fixed<uint16_t>(); }
  uint32_t U32() { return Fixed<uint32_t>(); }
  uint64_t U64() { return Fixed<uint64_t>(); }
  int8_t S8() { return Fixed<int8_t>(); }
  // `size` of 1, 2, 4 or 8 bytes; others fail.
  uint64_t Unsigned(uint64_t size) {
    switch (size) {
      case 1:
        return U8();
      case 2:
        return U16();
      case 4:
        return U32();
      case 8:
        return U64();
    }
    Fail();
    return 0;
  }
  uint64_t Uleb() {
    // Most are of one byte. After Fail() nothing remains.
    if (offset_ < bytes_.size() && bytes_[offset_] < 0x80) {
      return bytes_[offset_++];
    }
    uint64_t value = 0;
    for (unsigned shift = 0; ok_; shift += 7) {
      uint8_t byte = U8();
      if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
      if ((byte & 0x80) == 0) break;
    }
    return value;
  }
  int64_t Sleb() {
    uint64_t value = 0;
    for (unsigned shift = 0; ok_;) {
      uint8_t byte = U8();
      if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
      shift += 7;
      if ((byte & 0x80) == 0) {
        if (shift < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << shift;
        break;
      }
    }
    return static_cast<int64_t>(value);
  }
  // Up to the next NUL, which is skipped.
  std::string_view CString() {
    const void* end = ok_ && remaining() > 0
                          ? std::memchr(bytes_.data() + offset_, 0, remaining())
                          : nullptr;
    if (end == nullptr) {
      Fail();
      return {};
    }
    const char* start = reinterpret_cast<const char*>(bytes_.data()) + offset_;
    std::string_view text(start, static_cast<const char*>(end) - start);
    offset_ += text.size() + 1;
    return text;
  }
  void Skip(uint64_t size) {
    if (size > remaining()) {
      Fail();
    } else {
      offset_ += size;
    }
  }
  std::span<const uint8_t> Bytes(uint64_t size) {
    if (!ok_ || size > remaining()) {
      Fail();
      return {};
    }
    auto part = bytes_.subspan(offset_, size);
    offset_ += size;
    return part;
  }

 private:
  template <typename T>
  T Fixed() {
    T value{};
    if (sizeof(T) > remaining()) {
      Fail();
      return value;
    }
    std::memcpy(&value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }
  void Fail() {
    ok_ = false;
    offset_ = bytes_.size();
  }

  std::span<const uint8_t> bytes_;
  uint64_t offset_;
  bool ok_ = true;
};

// The text at `offset` of a table of NUL-ended strings; "" outside of it, and
// for one of max_bytes or more.
inline std::string_view StringAt(std::span<const uint8_t> table,
                                 uint64_t offset, uint64_t max_bytes) {
  if (offset > table.size()) return {};
  table = table.subspan(offset);
  if (table.size() > max_bytes) table = table.first(max_bytes);
  return ByteReader(table).CString();
}

}  // namespace pprofd

#endif  // SYMBOLIZER_BYTE_READER_H_
