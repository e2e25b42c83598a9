#include "symbolizer/jit_symbols.h"

#include <optional>
#include <string>

#include "symbolizer/demangle.h"
#include "symbolizer/v8_name.h"

namespace pprofd {
namespace {

// Modules of JavaScript are named by URL.
std::string_view PathOf(std::string_view file) {
  constexpr std::string_view kScheme = "file://";
  if (file.starts_with(kScheme)) file.remove_prefix(kScheme.size());
  return file;
}

}  // namespace

SymbolLine JitSymbolLine(std::string_view name, std::string_view file,
                         uint32_t line, DemangleStyle style) {
  SymbolLine shown{.name = {},
                   .system_name = std::string(name),
                   .file = std::string(PathOf(file)),
                   .line = line};
  std::optional<V8Name> v8_name = ParseV8Name(name);
  if (!v8_name) {
    shown.name = Demangle(shown.system_name, style);
    return shown;
  }
  shown.name =
      style == DemangleStyle::kNone ? name : std::string(v8_name->function);
  // Lines may be of a call inlined from another file.
  if (shown.file.empty()) shown.file = PathOf(v8_name->file);
  if (shown.file == PathOf(v8_name->file)) shown.start_line = v8_name->line;
  return shown;
}

}  // namespace pprofd
