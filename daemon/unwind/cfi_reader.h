// CfiReader: reads little-endian numbers from bytes nobody vouches for.
//
// A read past the end gives 0, moves to the end and clears ok(); so a parser
// may read a whole record and check once. LEB128 of one byte, which is what
// unwind programs are made of, costs one comparison.
// Borrows: the bytes.
// Thread: value.
#ifndef DAEMON_UNWIND_CFI_READER_H_
#define DAEMON_UNWIND_CFI_READER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace pprofd {

class CfiReader {
 public:
  explicit CfiReader(std::span<const uint8_t> bytes, size_t position = 0)
      : begin_(bytes.data()),
        next_(bytes.data()),
        limit_(bytes.data() + bytes.size()) {
    Skip(position);
  }

  bool ok() const { return ok_; }
  bool AtEnd() const { return next_ == limit_; }
  size_t position() const { return static_cast<size_t>(next_ - begin_); }
  size_t remaining() const { return static_cast<size_t>(limit_ - next_); }

  void Fail() {
    ok_ = false;
    next_ = limit_;
  }
  void Skip(uint64_t count) {
    if (count > remaining()) return Fail();
    next_ += count;
  }

  uint8_t U8() { return Number<uint8_t>(); }
  uint16_t U16() { return Number<uint16_t>(); }
  uint32_t U32() { return Number<uint32_t>(); }
  uint64_t U64() { return Number<uint64_t>(); }

  // LEB128; bits beyond 64 are dropped.
  uint64_t Uleb() {
    if (next_ != limit_ && *next_ < 0x80) return *next_++;
    return LongUleb();
  }
  int64_t Sleb() {
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
      byte = U8();
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      shift += 7;
    } while ((byte & 0x80) != 0);
    if (shift < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << shift;
    return static_cast<int64_t>(value);
  }

  // The next `count` bytes, empty when there are fewer.
  std::span<const uint8_t> Take(uint64_t count) {
    const uint8_t* start = next_;
    Skip(count);
    if (!ok_) return {};
    return {start, static_cast<size_t>(count)};
  }

 private:
  template <typename T>
  T Number() {
    if (remaining() < sizeof(T)) {
      Fail();
      return 0;
    }
    T value;
    std::memcpy(&value, next_, sizeof(T));
    next_ += sizeof(T);
    return value;
  }

  uint64_t LongUleb() {
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
      byte = U8();
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      shift += 7;
    } while ((byte & 0x80) != 0);
    return value;
  }

  const uint8_t* begin_;
  const uint8_t* next_;
  const uint8_t* limit_;
  bool ok_ = true;
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_CFI_READER_H_
