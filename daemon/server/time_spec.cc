#include "daemon/server/time_spec.h"

#include <chrono>
#include <cstdint>

namespace pprofd {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
// 2261-12-31: below the end of int64_t nanoseconds.
constexpr int64_t kMaxSeconds = 9'214'560'000;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes digits off the front of `text`; at most 10 of them.
std::optional<int64_t> TakeNumber(std::string_view* text) {
  int64_t value = 0;
  size_t length = 0;
  while (length < text->size() && IsDigit((*text)[length])) {
    if (length == 10) return std::nullopt;
    value = value * 10 + ((*text)[length] - '0');
    ++length;
  }
  if (length == 0) return std::nullopt;
  text->remove_prefix(length);
  return value;
}

// Takes ".25" off the front, in nanoseconds; 0 when there is none. Digits
// beyond the ninth are cut.
std::optional<int64_t> TakeFraction(std::string_view* text) {
  if (!text->starts_with('.')) return 0;
  text->remove_prefix(1);
  int64_t ns = 0;
  int64_t unit = kNsPerSecond / 10;
  size_t length = 0;
  for (; length < text->size() && IsDigit((*text)[length]); ++length) {
    ns += unit * ((*text)[length] - '0');
    unit /= 10;
  }
  if (length == 0) return std::nullopt;
  text->remove_prefix(length);
  return ns;
}

// Takes exactly `digits` digits, then `separator` unless it is 0.
std::optional<int> TakeField(std::string_view* text, size_t digits,
                             char separator) {
  size_t size = digits + (separator != 0 ? 1 : 0);
  if (text->size() < size) return std::nullopt;
  int value = 0;
  for (size_t i = 0; i < digits; ++i) {
    if (!IsDigit((*text)[i])) return std::nullopt;
    value = value * 10 + ((*text)[i] - '0');
  }
  if (separator != 0 && ((*text)[digits] | 0x20) != (separator | 0x20)) {
    return std::nullopt;
  }
  text->remove_prefix(size);
  return value;
}

std::optional<WallTime> Bounded(int64_t seconds, int64_t ns) {
  if (seconds < 0 || seconds > kMaxSeconds) return std::nullopt;
  return WallTime{seconds * kNsPerSecond + ns};
}

// -1h30m and the like, without the sign.
std::optional<WallTime> ParseAgo(std::string_view text, WallTime now) {
  int64_t ago_ns = 0;
  while (!text.empty()) {
    std::optional<int64_t> number = TakeNumber(&text);
    if (!number) return std::nullopt;
    std::optional<int64_t> fraction = TakeFraction(&text);
    if (!fraction || text.empty()) return std::nullopt;
    int64_t seconds = 0;
    switch (text.front()) {
      case 's':
        seconds = 1;
        break;
      case 'm':
        seconds = 60;
        break;
      case 'h':
        seconds = 3600;
        break;
      case 'd':
        seconds = 86400;
        break;
      default:
        return std::nullopt;
    }
    text.remove_prefix(1);
    if (*number > kMaxSeconds / seconds) return std::nullopt;
    ago_ns += *number * seconds * kNsPerSecond + *fraction * seconds;
    if (ago_ns > now.ns) return std::nullopt;
  }
  return WallTime{now.ns - ago_ns};
}

// "Z", "+02:00" or "-02:00", in seconds east of Greenwich.
std::optional<int64_t> ParseOffset(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.empty()) return std::nullopt;
  char sign = text.front();
  if (sign != '+' && sign != ' ' && sign != '-') return std::nullopt;
  text.remove_prefix(1);
  std::optional<int> hours = TakeField(&text, 2, ':');
  if (!hours) return std::nullopt;
  std::optional<int> minutes = TakeField(&text, 2, 0);
  if (!minutes || !text.empty() || *hours > 23 || *minutes > 59) {
    return std::nullopt;
  }
  int64_t seconds = (*hours * 60 + *minutes) * 60;
  return sign == '-' ? -seconds : seconds;
}

std::optional<WallTime> ParseRfc3339(std::string_view text) {
  std::optional<int> year = TakeField(&text, 4, '-');
  if (!year) return std::nullopt;
  std::optional<int> month = TakeField(&text, 2, '-');
  if (!month) return std::nullopt;
  std::optional<int> day = TakeField(&text, 2, 'T');
  if (!day) return std::nullopt;
  std::optional<int> hour = TakeField(&text, 2, ':');
  if (!hour) return std::nullopt;
  std::optional<int> minute = TakeField(&text, 2, ':');
  if (!minute) return std::nullopt;
  std::optional<int> second = TakeField(&text, 2, 0);
  if (!second || *hour > 23 || *minute > 59 || *second > 59) {
    return std::nullopt;
  }
  std::optional<int64_t> fraction = TakeFraction(&text);
  if (!fraction) return std::nullopt;
  std::optional<int64_t> offset = ParseOffset(text);
  if (!offset) return std::nullopt;
  std::chrono::year_month_day date{
      std::chrono::year(*year),
      std::chrono::month(static_cast<unsigned>(*month)),
      std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  int64_t of_day = (*hour * 60 + *minute) * 60 + *second;
  return Bounded(days * 86400 + of_day - *offset, *fraction);
}

std::optional<WallTime> ParseUnix(std::string_view text) {
  std::optional<int64_t> seconds = TakeNumber(&text);
  if (!seconds) return std::nullopt;
  std::optional<int64_t> fraction = TakeFraction(&text);
  if (!fraction || !text.empty()) return std::nullopt;
  return Bounded(*seconds, *fraction);
}

}  // namespace

std::optional<WallTime> ParseTimeSpec(std::string_view text, WallTime now) {
  if (text.starts_with('-')) {
    text.remove_prefix(1);
    if (text.empty()) return std::nullopt;
    return ParseAgo(text, now);
  }
  if (text.size() > 4 && text[4] == '-') return ParseRfc3339(text);
  return ParseUnix(text);
}

}  // namespace pprofd
