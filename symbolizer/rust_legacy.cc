#include "symbolizer/rust_legacy.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace pprofd {
namespace {

constexpr size_t kHashBytes = 17;  // 'h' and 16 digits

bool IsHash(std::string_view part) {
  return part.size() == kHashBytes && part[0] == 'h' &&
         part.find_first_not_of("0123456789abcdef", 1) ==
             std::string_view::npos;
}

// The length-prefixed parts of a path up to its 'E', hash included.
std::optional<std::vector<std::string_view>> SplitPath(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty() && text[0] != 'E') {
    size_t length = 0;
    size_t digits = 0;
    while (digits < text.size() && digits < 5 && text[digits] >= '0' &&
           text[digits] <= '9') {
      length = length * 10 + (text[digits++] - '0');
    }
    if (digits == 0 || length == 0 || length > text.size() - digits) {
      return std::nullopt;
    }
    parts.push_back(text.substr(digits, length));
    text.remove_prefix(digits + length);
  }
  if (text.empty()) return std::nullopt;
  std::string_view suffix = text.substr(1);
  if (!suffix.empty() && suffix[0] != '.') return std::nullopt;
  return parts;
}

void AppendUtf8(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

// Appends what `$escape$` stands for; false if it is unknown.
bool AppendEscape(std::string_view escape, std::string& out) {
  static constexpr std::array<std::pair<std::string_view, char>, 9> kNames{{
      {"SP", '@'},
      {"BP", '*'},
      {"RF", '&'},
      {"LT", '<'},
      {"GT", '>'},
      {"LP", '('},
      {"RP", ')'},
      {"C", ','},
      {"DQ", '"'},
  }};
  for (const auto& [name, character] : kNames) {
    if (escape == name) {
      out += character;
      return true;
    }
  }
  if (escape.size() < 2 || escape.size() > 5 || escape[0] != 'u') return false;
  uint32_t code = 0;
  for (char c : escape.substr(1)) {
    if (c >= '0' && c <= '9') {
      code = code * 16 + (c - '0');
    } else if (c >= 'a' && c <= 'f') {
      code = code * 16 + (c - 'a' + 10);
    } else {
      return false;
    }
  }
  if (code < 0x20 || (code >= 0xd800 && code < 0xe000)) return false;
  AppendUtf8(code, out);
  return true;
}

void AppendPart(std::string_view part, std::string& out) {
  if (part.starts_with("_$")) part.remove_prefix(1);
  while (!part.empty()) {
    if (part.starts_with("..")) {
      out += "::";
      part.remove_prefix(2);
      continue;
    }
    if (part[0] == '$') {
      size_t end = part.find('$', 1);
      if (end != std::string_view::npos &&
          AppendEscape(part.substr(1, end - 1), out)) {
        part.remove_prefix(end + 1);
        continue;
      }
    }
    out += part[0];
    part.remove_prefix(1);
  }
}

}  // namespace

std::optional<std::string> DemangleRustLegacy(std::string_view name) {
  if (!name.starts_with("_ZN")) return std::nullopt;
  auto parts = SplitPath(name.substr(3));
  if (!parts || parts->size() < 2 || !IsHash(parts->back())) {
    return std::nullopt;
  }
  parts->pop_back();
  std::string out;
  for (std::string_view part : *parts) {
    if (!out.empty()) out += "::";
    AppendPart(part, out);
  }
  return out;
}

}  // namespace pprofd
