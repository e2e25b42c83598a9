#include "daemon/server/json_writer.h"

#include <spdlog/fmt/fmt.h>

#include "daemon/server/text.h"

namespace pprofd {
namespace {

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (char c : OneLine(text)) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace

void JsonWriter::Begin(std::string_view name) {
  if (needs_comma_) text_ += ',';
  if (!name.empty()) text_ += Quoted(name) + ":";
  needs_comma_ = true;
}

void JsonWriter::Open(std::string_view name, char bracket) {
  Begin(name);
  text_ += bracket;
  open_ += bracket == '{' ? '}' : ']';
  needs_comma_ = false;
}

void JsonWriter::Close() {
  text_ += open_.back();
  open_.pop_back();
  needs_comma_ = true;
}

void JsonWriter::Text(std::string_view name, std::string_view value) {
  Begin(name);
  text_ += Quoted(value);
}

void JsonWriter::Number(std::string_view name, uint64_t value) {
  Begin(name);
  text_ += std::to_string(value);
}

void JsonWriter::Number(std::string_view name, double value) {
  Begin(name);
  text_ += fmt::format("{:.3f}", value);
}

void JsonWriter::Bool(std::string_view name, bool value) {
  Begin(name);
  text_ += value ? "true" : "false";
}

void JsonWriter::Texts(std::string_view name,
                       const std::vector<std::string>& values) {
  Open(name, '[');
  for (const std::string& value : values) Text("", value);
  Close();
}

}  // namespace pprofd
