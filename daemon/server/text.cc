#include "daemon/server/text.h"

#include <cstdint>

namespace pprofd {
namespace {

// Length of the UTF-8 character at the start of `text`; 0 when there is none.
size_t CharacterLength(std::string_view text) {
  auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  bool is_overlong =
      (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
  bool is_surrogate = lead == 0xed && byte(1) > 0x9f;
  bool is_beyond = lead == 0xf4 && byte(1) > 0x8f;
  return is_overlong || is_surrogate || is_beyond ? 0 : length;
}

// U+0080..U+009F, which terminals obey.
bool IsC1Control(std::string_view character) {
  return character.size() == 2 && character[0] == '\xc2' &&
         static_cast<uint8_t>(character[1]) < 0xa0;
}

}  // namespace

std::string OneLine(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  while (!text.empty()) {
    size_t length = CharacterLength(text);
    if (length == 0) {
      line += "\xef\xbf\xbd";
      text.remove_prefix(1);
      continue;
    }
    std::string_view character = text.substr(0, length);
    auto lead = static_cast<uint8_t>(character[0]);
    if (lead < 0x20 || lead == 0x7f || IsC1Control(character)) {
      line += ' ';
    } else {
      line += character;
    }
    text.remove_prefix(length);
  }
  return line;
}

std::string HtmlText(std::string_view text) {
  std::string html;
  for (char c : OneLine(text)) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&#34;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

std::string Shortened(std::string_view text, size_t max_bytes) {
  std::string line = OneLine(text);
  if (line.size() <= max_bytes) return line;
  size_t end = max_bytes;
  while (end > 0 && (static_cast<uint8_t>(line[end]) & 0xc0) == 0x80) --end;
  line.resize(end);
  return line + "…";
}

}  // namespace pprofd
