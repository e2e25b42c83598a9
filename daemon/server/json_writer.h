// JsonWriter: builds one JSON text, member by member.
//
// Strings come from hostile places: bytes that are no UTF-8 become U+FFFD and
// control characters blanks, as in OneLine.
// Owns: the text. Thread: one owner.
#ifndef DAEMON_SERVER_JSON_WRITER_H_
#define DAEMON_SERVER_JSON_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pprofd {

class JsonWriter {
 public:
  // A member of the open object, or with name "" an element of the open array
  // or the whole text. Keys are the program's own.
  void Open(std::string_view name, char bracket);  // '{' or '['
  void Close();
  void Text(std::string_view name, std::string_view value);
  void Number(std::string_view name, uint64_t value);
  void Number(std::string_view name, double value);
  void Bool(std::string_view name, bool value);
  void Texts(std::string_view name, const std::vector<std::string>& values);

  // REQUIRES: everything is closed.
  std::string Take() && { return std::move(text_) + "\n"; }

 private:
  void Begin(std::string_view name);

  std::string text_;
  std::string open_;  // closing brackets, innermost last
  bool needs_comma_ = false;
};

}  // namespace pprofd

#endif  // DAEMON_SERVER_JSON_WRITER_H_
