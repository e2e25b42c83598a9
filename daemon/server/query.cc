#include "daemon/server/query.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace pprofd {
namespace {

constexpr int32_t kMaxPid = 4194304;
constexpr std::string_view kPidPrefix = "/pid/";
constexpr std::string_view kPprofPath = "/debug/pprof";
constexpr std::string_view kShortPath = "/pprof";

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> Unescape(std::string_view text, bool plus_is_blank) {
  std::string plain;
  plain.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_blank) {
      plain += ' ';
    } else if (text[i] != '%') {
      plain += text[i];
    } else {
      if (text.size() - i < 3) return std::nullopt;
      int high = HexValue(text[i + 1]);
      int low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      plain += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return plain;
}

// The path without empty, "." and ".." segments; a final slash stays.
std::string CleanPath(std::string_view path) {
  std::vector<std::string_view> segments;
  bool ends_as_folder = false;
  for (size_t begin = 1; begin <= path.size();) {
    size_t end = std::min(path.find('/', begin), path.size());
    std::string_view segment = path.substr(begin, end - begin);
    ends_as_folder = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (!ends_as_folder) {
      segments.push_back(segment);
    }
    begin = end + 1;
  }
  std::string clean;
  for (std::string_view segment : segments) {
    clean += '/';
    clean += segment;
  }
  if (clean.empty() || ends_as_folder) clean += '/';
  return clean;
}

}  // namespace

Query Query::Parse(std::string_view raw) {
  Query query;
  while (!raw.empty()) {
    size_t end = std::min(raw.find('&'), raw.size());
    std::string_view pair = raw.substr(0, end);
    raw.remove_prefix(std::min(end + 1, raw.size()));
    if (pair.empty() || pair.find(';') != std::string_view::npos) continue;
    size_t equals = pair.find('=');
    std::string_view value;
    if (equals != std::string_view::npos) value = pair.substr(equals + 1);
    std::optional<std::string> name = Unescape(pair.substr(0, equals), true);
    std::optional<std::string> plain = Unescape(value, true);
    if (!name || !plain) continue;
    query.pairs_.emplace_back(std::move(*name), std::move(*plain));
  }
  return query;
}

std::string_view Query::Get(std::string_view name) const {
  for (const auto& [key, value] : pairs_) {
    if (key == name) return value;
  }
  return {};
}

std::optional<RequestTarget> ParseTarget(std::string_view target) {
  target = target.substr(0, target.find('#'));
  if (!target.starts_with('/')) return std::nullopt;
  RequestTarget parsed;
  size_t mark = target.find('?');
  parsed.raw_path = target.substr(0, mark);
  if (mark != std::string_view::npos) {
    parsed.raw_query = target.substr(mark + 1);
  }
  std::optional<std::string> path = Unescape(parsed.raw_path, false);
  if (!path) return std::nullopt;
  parsed.path = std::move(*path);
  parsed.query = Query::Parse(parsed.raw_query);
  std::string clean = CleanPath(parsed.raw_path);
  if (clean != parsed.raw_path) {
    parsed.clean_location = std::move(clean);
    if (mark != std::string_view::npos) {
      parsed.clean_location += "?" + parsed.raw_query;
    }
  }
  return parsed;
}

std::optional<int64_t> ParseGoInt(std::string_view text) {
  bool is_negative = text.starts_with('-');
  if (is_negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || !std::all_of(text.begin(), text.end(), [](char c) {
        return c >= '0' && c <= '9';
      })) {
    return std::nullopt;
  }
  uint64_t magnitude = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), magnitude);
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  if (error != std::errc() || magnitude > kMax) {
    return is_negative ? std::numeric_limits<int64_t>::min()
                       : std::numeric_limits<int64_t>::max();
  }
  auto value = static_cast<int64_t>(magnitude);
  return is_negative ? -value : value;
}

std::optional<int32_t> ParsePid(std::string_view text) {
  std::optional<int64_t> value = ParseGoInt(text);
  if (!value || *value < 1 || *value > kMaxPid) return std::nullopt;
  return static_cast<int32_t>(*value);
}

int64_t DebugLevel(const Query& query) {
  return std::max<int64_t>(ParseGoInt(query.Get("debug")).value_or(0), 0);
}

std::vector<uint64_t> ParseAddresses(std::string_view text) {
  std::vector<uint64_t> addresses;
  constexpr std::string_view kSeparators = "+& \t\r\n";
  while (!text.empty()) {
    size_t end = std::min(text.find_first_of(kSeparators), text.size());
    std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    int base = 10;
    if (word.starts_with("0x") || word.starts_with("0X")) {
      word.remove_prefix(2);
      base = 16;
    }
    uint64_t address = 0;
    auto [stop, error] =
        std::from_chars(word.data(), word.data() + word.size(), address, base);
    if (!word.empty() && error == std::errc() &&
        stop == word.data() + word.size()) {
      addresses.push_back(address);
    }
  }
  return addresses;
}

PprofRoute ParseRoute(std::string_view path) {
  PprofRoute route;
  if (path.starts_with(kPidPrefix)) {
    path.remove_prefix(kPidPrefix.size());
    size_t slash = std::min(path.find('/'), path.size());
    route.path_pid = std::string(path.substr(0, slash));
    path.remove_prefix(slash);
  }
  if (path == kPprofPath) {
    route.kind = PprofRoute::Kind::kSlashless;
    return route;
  }
  for (std::string_view prefix : {kPprofPath, kShortPath}) {
    if (!path.starts_with(prefix)) continue;
    std::string_view rest = path.substr(prefix.size());
    if (!rest.starts_with('/')) continue;
    bool is_index = rest.size() == 1;
    if (is_index && prefix == kShortPath) continue;
    route.kind = PprofRoute::Kind::kEndpoint;
    route.name = rest.substr(1);
    return route;
  }
  return route;
}

}  // namespace pprofd
