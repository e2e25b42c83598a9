#include "symbolizer/perf_map.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace pprofd {
namespace {

struct Line {
  uint64_t start = 0;
  uint64_t size = 0;
  std::string_view name;
};

// Takes a hexadecimal number and the blanks behind it off `text`.
std::optional<uint64_t> TakeHex(std::string_view& text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  uint64_t value = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(end - text.data());
  size_t blanks = text.find_first_not_of(' ');
  if (blanks == 0 || blanks == std::string_view::npos) return std::nullopt;
  text.remove_prefix(blanks);
  return value;
}

std::optional<Line> ParseLine(std::string_view text) {
  auto start = TakeHex(text);
  if (!start) return std::nullopt;
  auto size = TakeHex(text);
  if (!size || *size == 0 || *size > UINT64_MAX - *start) return std::nullopt;
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (text.empty()) return std::nullopt;
  return Line{*start, *size, text.substr(0, PerfMap::kMaxNameBytes)};
}

}  // namespace

PerfMap PerfMap::Parse(std::string_view text) {
  PerfMap map;
  std::vector<RangeMap::Range> ranges;
  while (!text.empty() && ranges.size() < kMaxSymbols) {
    // From the end, so that the bound keeps the newest lines.
    if (text.back() == '\n') text.remove_suffix(1);
    size_t newline = text.rfind('\n');
    size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    auto line = ParseLine(text.substr(begin));
    text = text.substr(0, begin);
    if (!line) continue;
    auto number = static_cast<uint32_t>(map.names_.size());
    ranges.push_back({.start = line->start,
                      .end = line->start + line->size,
                      .priority = UINT32_MAX - number,
                      .value = number});
    map.names_.push_back({static_cast<uint32_t>(map.text_.size()),
                          static_cast<uint32_t>(line->name.size())});
    map.text_ += line->name;
  }
  map.names_.shrink_to_fit();
  map.text_.shrink_to_fit();
  map.ranges_ = RangeMap(std::move(ranges));
  return map;
}

Result<PerfMap> PerfMap::Read(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return Status::FromErrno(errno, "perf map");
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kInvalid, "perf map: not a regular file");
  }
  auto size = std::min<uint64_t>(info.st_size, kMaxBytes);
  off_t offset = info.st_size - static_cast<off_t>(size);
  std::string text(size, '\0');
  size_t used = 0;
  while (used < text.size()) {
    ssize_t n = pread(fd, text.data() + used, text.size() - used,
                      offset + static_cast<off_t>(used));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::FromErrno(errno, "perf map");
    if (n == 0) break;
    used += n;
  }
  std::string_view view(text.data(), used);
  if (offset > 0) {
    size_t newline = view.find('\n');  // the first line is cut
    view.remove_prefix(newline == std::string_view::npos ? view.size()
                                                         : newline + 1);
  }
  return Parse(view);
}

std::optional<std::string_view> PerfMap::Find(uint64_t address) const {
  auto number = ranges_.Find(address);
  if (!number) return std::nullopt;
  return std::string_view(text_).substr(names_[*number].offset,
                                        names_[*number].size);
}

}  // namespace pprofd
