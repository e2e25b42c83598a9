#include "daemon/model/heap_selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pprofd {
namespace {

constexpr size_t kIdDigits = 64;  // of a container's full ID
constexpr size_t kMinIdDigits = 12;
constexpr size_t kMaxValueBytes = 4096;

bool IsHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool IsUnitName(std::string_view name) {
  auto is_allowed = [](char c) { return c > ' ' && c != '/' && c != 0x7f; };
  return name.size() <= 255 && name.find('.') != std::string_view::npos &&
         std::ranges::all_of(name, is_allowed);
}

bool IsIdStart(std::string_view id) {
  return id.size() >= kMinIdDigits && id.size() <= kIdDigits &&
         std::ranges::all_of(id, IsHex);
}

// The next part of `text` before `separator`, which is taken off.
std::string_view TakePart(std::string_view* text, char separator) {
  size_t end = text->find(separator);
  std::string_view part = text->substr(0, end);
  *text = end == std::string_view::npos ? std::string_view()
                                        : text->substr(end + 1);
  return part;
}

// Runtimes put the ID alone, or between a prefix and ".scope".
bool NamesContainer(std::string_view group, std::string_view id) {
  for (size_t at = group.find(id); at != std::string_view::npos;
       at = group.find(id, at + 1)) {
    if (at > 0 && IsHex(group[at - 1])) continue;
    std::string_view rest = group.substr(at);
    auto end = std::ranges::find_if_not(rest, IsHex);
    if (end - rest.begin() == kIdDigits) return true;
  }
  return false;
}

// Of any line "number:controllers:path".
template <typename Predicate>
bool AnyGroup(std::string_view control_groups, const Predicate& predicate) {
  while (!control_groups.empty()) {
    std::string_view path = TakePart(&control_groups, '\n');
    TakePart(&path, ':');
    TakePart(&path, ':');
    while (!path.empty()) {
      if (predicate(TakePart(&path, '/'))) return true;
    }
  }
  return false;
}

}  // namespace

Result<HeapSelection> HeapSelection::Parse(std::span<const std::string> rules) {
  if (rules.size() > kMaxRules) {
    return Status(StatusCode::kInvalid,
                  fmt::format("more than {} rules", kMaxRules));
  }
  HeapSelection selection;
  for (const std::string& text : rules) {
    std::string_view value = text;
    std::string_view kind = TakePart(&value, ':');
    Rule rule{.kind = Kind::kExe, .value = std::string(value)};
    bool is_valid = value.size() <= kMaxValueBytes;
    if (kind == "exe") {
      is_valid = is_valid && value.starts_with('/');
    } else if (kind == "unit") {
      rule.kind = Kind::kUnit;
      is_valid = is_valid && IsUnitName(value);
    } else if (kind == "container") {
      rule.kind = Kind::kContainer;
      is_valid = is_valid && IsIdStart(value);
    } else {
      is_valid = false;
    }
    if (!is_valid) {
      return Status(StatusCode::kInvalid,
                    fmt::format("\"{}\" is none of exe:/PATH, "
                                "unit:NAME.service, container:ID (12 to 64 "
                                "hexadecimal digits)",
                                text));
    }
    selection.rules_.push_back(std::move(rule));
  }
  return selection;
}

bool HeapSelection::Matches(std::string_view exe,
                            std::string_view control_groups) const {
  return std::ranges::any_of(rules_, [&](const Rule& rule) {
    switch (rule.kind) {
      case Kind::kExe:
        return exe == rule.value;
      case Kind::kUnit:
        return AnyGroup(control_groups, [&](std::string_view group) {
          return group == rule.value;
        });
      case Kind::kContainer:
        return AnyGroup(control_groups, [&](std::string_view group) {
          return NamesContainer(group, rule.value);
        });
    }
    return false;
  });
}

}  // namespace pprofd
