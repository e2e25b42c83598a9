#include "daemon/process/proc_maps.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

namespace pprofd {
namespace {

constexpr size_t kReadBytes = 64 << 10;

// Reads the fields of one line from left to right.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  template <typename T>
  bool Number(T* value, int base) {
    auto [end, error] = std::from_chars(
        text_.data(), text_.data() + text_.size(), *value, base);
    if (error != std::errc()) return false;
    text_.remove_prefix(end - text_.data());
    return true;
  }
  bool Skip(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool Take(size_t size, std::string_view* out) {
    if (text_.size() < size) return false;
    *out = text_.substr(0, size);
    text_.remove_prefix(size);
    return true;
  }
  // What follows the blanks that pad the inode's column.
  std::string_view Rest() const {
    size_t begin = text_.find_first_not_of(' ');
    return begin == std::string_view::npos ? std::string_view()
                                           : text_.substr(begin);
  }

 private:
  std::string_view text_;
};

// The kernel escapes newlines only, as \012.
std::string UnescapePath(std::string_view escaped) {
  constexpr std::string_view kNewline = "\\012";
  std::string path;
  path.reserve(escaped.size());
  while (true) {
    size_t at = escaped.find(kNewline);
    path.append(escaped.substr(0, at));
    if (at == std::string_view::npos) return path;
    path.push_back('\n');
    escaped.remove_prefix(at + kNewline.size());
  }
}

enum class LineKind { kMalformed, kOther, kExecutable };

LineKind ParseLine(std::string_view line, ProcMapping* mapping,
                   std::string_view* escaped_path) {
  Cursor cursor(line);
  std::string_view permissions;
  if (!cursor.Number(&mapping->start.value, 16) || !cursor.Skip('-') ||
      !cursor.Number(&mapping->limit.value, 16) || !cursor.Skip(' ') ||
      !cursor.Take(4, &permissions)) {
    return LineKind::kMalformed;
  }
  if (permissions[2] != 'x') return LineKind::kOther;
  if (!cursor.Skip(' ') || !cursor.Number(&mapping->offset.value, 16) ||
      !cursor.Skip(' ') || !cursor.Number(&mapping->device_major, 16) ||
      !cursor.Skip(':') || !cursor.Number(&mapping->device_minor, 16) ||
      !cursor.Skip(' ') || !cursor.Number(&mapping->inode, 10) ||
      mapping->start >= mapping->limit) {
    return LineKind::kMalformed;
  }
  *escaped_path = cursor.Rest();
  return LineKind::kExecutable;
}

}  // namespace

const ProcMapping* ProcMaps::Find(VirtualAddr address) const {
  auto it = std::find_if(
      mappings.begin(), mappings.end(), [address](const ProcMapping& mapping) {
        return mapping.start <= address && address < mapping.limit;
      });
  return it == mappings.end() ? nullptr : &*it;
}

bool RemoveDeletedMark(std::string* path) {
  constexpr std::string_view kMark = " (deleted)";
  if (!path->ends_with(kMark)) return false;
  path->resize(path->size() - kMark.size());
  return true;
}

void ProcMapsParser::FeedLine(std::string_view line) {
  if (maps_.line_count >= kMaxLines) {
    maps_.is_cut = true;
    return;
  }
  ++maps_.line_count;
  ProcMapping mapping;
  std::string_view escaped_path;
  LineKind kind = ParseLine(line, &mapping, &escaped_path);
  if (kind == LineKind::kMalformed) ++maps_.malformed_count;
  if (kind != LineKind::kExecutable) return;
  if (maps_.mappings.size() >= kMaxProcMappings ||
      path_bytes_ + escaped_path.size() > kMaxPathBytes) {
    maps_.is_cut = true;
    return;
  }
  path_bytes_ += escaped_path.size();
  mapping.path = UnescapePath(escaped_path);
  if (mapping.is_file()) mapping.is_deleted = RemoveDeletedMark(&mapping.path);
  maps_.mappings.push_back(std::move(mapping));
}

void ProcMapsParser::Feed(std::string_view text) {
  while (!text.empty() && !maps_.is_cut) {
    size_t newline = text.find('\n');
    std::string_view piece = text.substr(0, newline);
    bool ends_line = newline != std::string_view::npos;
    text.remove_prefix(ends_line ? newline + 1 : text.size());

    if (!skips_to_newline_ &&
        partial_line_.size() + piece.size() > kMaxLineBytes) {
      skips_to_newline_ = true;
      partial_line_.clear();
      ++maps_.line_count;
      ++maps_.malformed_count;
    }
    if (skips_to_newline_) {
      skips_to_newline_ = !ends_line;
    } else if (!ends_line) {
      partial_line_.append(piece);
    } else if (partial_line_.empty()) {
      FeedLine(piece);
    } else {
      partial_line_.append(piece);
      FeedLine(partial_line_);
      partial_line_.clear();
    }
  }
}

ProcMaps ProcMapsParser::Finish() {
  if (!partial_line_.empty() && !maps_.is_cut) FeedLine(partial_line_);
  partial_line_.clear();
  return std::move(maps_);
}

ProcMaps ParseProcMaps(std::string_view text) {
  ProcMapsParser parser;
  parser.Feed(text);
  return parser.Finish();
}

Result<ProcMaps> ReadProcMaps(int fd) {
  ProcMapsParser parser;
  std::string buffer(kReadBytes, '\0');
  while (!parser.is_full()) {
    ssize_t size = read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Status::FromErrno(errno, "read of a maps file");
    if (size == 0) break;
    parser.Feed(std::string_view(buffer.data(), size));
  }
  return parser.Finish();
}

}  // namespace pprofd
