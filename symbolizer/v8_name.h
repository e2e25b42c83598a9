// V8Name: the parts of a name that V8 gives to JavaScript code.
//
// In perf maps and jitdumps, V8 (Node.js, Chromium) writes "JS:*leaf
// /srv/app.js:4:15": the kind of code, a mark of the compiler that made it
// ("~" interpreter, "^" Sparkplug, "+" Maglev, "*" TurboFan), the function, and
// where it is declared. So one function has a name for every compiler that it
// went through, and its place is hidden in it.
// Thread: pure.
#ifndef SYMBOLIZER_V8_NAME_H_
#define SYMBOLIZER_V8_NAME_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace pprofd {

struct V8Name {
  std::string_view function;  // "(anonymous)", "(script)" for those without
  std::string_view file;      // path or URL
  uint32_t line = 0;          // of the declaration
};

// Nothing for names of another form: of other runtimes, of V8's own code.
// Borrows the text.
std::optional<V8Name> ParseV8Name(std::string_view text);

}  // namespace pprofd

#endif  // SYMBOLIZER_V8_NAME_H_
