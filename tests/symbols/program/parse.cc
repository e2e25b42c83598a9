#include <algorithm>
#include <charconv>
#include <regex>

#include "ledger.h"

namespace ledger {
namespace {

int Helper(std::string_view word) {
  int found = 0;
  for (char c : word) found += c == '-' || (c >= '0' && c <= '9');
  return found;
}

class Words {
 public:
  explicit Words(std::string_view text) : text_(text) {}
  std::optional<std::string_view> Next() {
    SkipBlanks();
    if (text_.empty()) return std::nullopt;
    size_t end = text_.find(' ');
    std::string_view word = text_.substr(0, end);
    text_.remove_prefix(word.size());
    return word;
  }

 private:
  void SkipBlanks() {
    while (!text_.empty() && IsBlank(text_.front())) text_.remove_prefix(1);
  }
  static bool IsBlank(char c) { return c == ' ' || c == '\t'; }
  std::string_view text_;
};

std::optional<Cents> ParseCents(std::string_view word) {
  static const std::regex kShape("(-?)([0-9]{1,12})[.,]([0-9]{2})");
  std::match_results<std::string_view::const_iterator> parts;
  if (!std::regex_match(word.begin(), word.end(), parts, kShape)) {
    int64_t value = 0;
    auto [end, error] =
        std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) return {};
    return Cents{value * 100};
  }
  int64_t whole = std::stoll(parts[2].str());
  int64_t value = whole * 100 + std::stoi(parts[3].str());
  return Cents{parts[1].length() > 0 ? -value : value};
}

}  // namespace

std::optional<Entry> ParseEntry(std::string_view line) {
  Words words(line);
  auto kind = words.Next();
  if (!kind) return std::nullopt;
  if (*kind == "note") {
    Note note;
    while (auto word = words.Next()) note.words.emplace_back(*word);
    std::sort(note.words.begin(), note.words.end(),
              [](const std::string& a, const std::string& b) {
                return Helper(a) != Helper(b) ? Helper(a) < Helper(b) : a < b;
              });
    return note;
  }
  auto word = words.Next();
  auto amount = word ? ParseCents(*word) : std::nullopt;
  if (!amount) return std::nullopt;
  if (*kind == "out") return Withdrawal{*amount};
  return Deposit{*amount, std::string(words.Next().value_or("cash"))};
}

}  // namespace ledger
