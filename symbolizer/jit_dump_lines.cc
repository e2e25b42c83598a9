#include "symbolizer/jit_dump_lines.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "symbolizer/byte_reader.h"

namespace pprofd {
namespace {

constexpr uint64_t kEntryBytes = 16;  // without the name
// No function is larger, and no source has more lines.
constexpr uint64_t kMaxCodeBytes = 64 << 20;
constexpr uint32_t kMaxLine = 1 << 28;
// Records are padded to a multiple of 8 bytes.
constexpr uint64_t kMaxPadding = 7;
constexpr std::string_view kSameFile = "\xff";

class LineParser {
 public:
  explicit LineParser(std::span<const uint8_t> record) : record_(record) {}

  JitDumpLines Run() {
    ByteReader head(record_);
    JitDumpLines lines;
    lines.code_address = head.U64();
    uint64_t count = head.U64();
    code_address_ = lines.code_address;
    uint64_t at = head.offset();
    std::string_view file;
    for (; head.ok() && count > 0 && IsEntry(at); --count) {
      ByteReader reader(record_, at);
      JitLineEntry entry;
      entry.address = reader.U64();
      entry.line = reader.U32();
      std::optional<uint64_t> end = FindNameEnd(at + kEntryBytes, count == 1);
      if (!end) break;
      entry.file = {
          reinterpret_cast<const char*>(record_.data()) + at + kEntryBytes,
          *end - at - kEntryBytes};
      if (entry.file == kSameFile) entry.file = file;
      file = entry.file;
      lines.entries.push_back(entry);
      at = *end + 1;
    }
    return lines;
  }

 private:
  bool IsEntry(uint64_t at) const {
    ByteReader reader(record_, at);
    uint64_t address = reader.U64();
    uint32_t line = reader.U32();
    reader.U32();
    return reader.ok() && address >= code_address_ &&
           address - code_address_ < kMaxCodeBytes && line < kMaxLine;
  }

  bool IsPadding(uint64_t at) const {
    auto rest = record_.subspan(at);
    return rest.size() <= kMaxPadding &&
           std::all_of(rest.begin(), rest.end(),
                       [](uint8_t byte) { return byte == 0; });
  }

  // Of the name at `start`; without one that is followed by what should
  // follow, the first NUL has to do.
  std::optional<uint64_t> FindNameEnd(uint64_t start, bool is_last) const {
    std::optional<uint64_t> first;
    uint64_t limit = std::min<uint64_t>(record_.size(), start + kMaxFileBytes);
    for (uint64_t at = start; at < limit; ++at) {
      if (record_[at] != 0) continue;
      if (!first) first = at;
      if (is_last ? IsPadding(at + 1) : IsEntry(at + 1)) return at;
    }
    return first;
  }

  std::span<const uint8_t> record_;
  uint64_t code_address_ = 0;
};

}  // namespace

JitDumpLines ParseJitDumpLines(std::span<const uint8_t> record) {
  return LineParser(record).Run();
}

bool IsOverwritten(std::string_view file) {
  return file.empty() || std::any_of(file.begin(), file.end(), [](char c) {
           return static_cast<unsigned char>(c) < ' ';
         });
}

}  // namespace pprofd
