#include "symbolizer/v8_name.h"

#include <charconv>
#include <system_error>

namespace pprofd {
namespace {

struct Kind {
  std::string_view prefix;
  std::string_view nameless;
};
constexpr Kind kKinds[] = {{"JS:", "(anonymous)"},
                           {"LazyCompile:", "(anonymous)"},
                           {"Function:", "(anonymous)"},
                           {"Script:", "(script)"},
                           {"Eval:", "(script)"}};

// Takes ":NUMBER" off the end of `text`.
std::optional<uint32_t> TakeNumber(std::string_view* text) {
  size_t colon = text->rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const char* end = text->data() + text->size();
  uint32_t number = 0;
  auto [stop, error] = std::from_chars(text->data() + colon + 1, end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  *text = text->substr(0, colon);
  return number;
}

// Both names and paths may have blanks: a path begins with a slash, a URL has
// its scheme first.
size_t FindFile(std::string_view text) {
  for (size_t blank = text.find(' '); blank != std::string_view::npos;
       blank = text.find(' ', blank + 1)) {
    std::string_view rest = text.substr(blank + 1);
    size_t scheme = rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz-");
    if (scheme == std::string_view::npos) continue;
    if (rest[scheme] == (scheme == 0 ? '/' : ':')) return blank;
  }
  return text.rfind(' ');
}

}  // namespace

std::optional<V8Name> ParseV8Name(std::string_view text) {
  for (const Kind& kind : kKinds) {
    if (!text.starts_with(kind.prefix)) continue;
    text.remove_prefix(kind.prefix.size());
    auto column = TakeNumber(&text);
    auto line = TakeNumber(&text);
    if (!column || !line) return std::nullopt;
    constexpr std::string_view kMarks = "~^+*'";
    if (!text.empty() && kMarks.find(text[0]) != std::string_view::npos) {
      text.remove_prefix(1);
    }
    size_t blank = FindFile(text);
    if (blank == std::string_view::npos) return std::nullopt;
    V8Name name{.function = text.substr(0, blank),
                .file = text.substr(blank + 1),
                .line = *line};
    if (name.file.empty()) return std::nullopt;
    if (name.function.empty()) name.function = kind.nameless;
    return name;
  }
  return std::nullopt;
}

}  // namespace pprofd
