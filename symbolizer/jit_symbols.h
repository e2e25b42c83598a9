// JitSymbols: names of just-in-time compiled code as profiles show them.
//
// Thread: pure.
#ifndef SYMBOLIZER_JIT_SYMBOLS_H_
#define SYMBOLIZER_JIT_SYMBOLS_H_

#include <cstdint>
#include <string_view>

#include "daemon/model/profile_service.h"  // DemangleStyle
#include "symbolizer/symbols.h"

namespace pprofd {

// `name` as the runtime wrote it stays as system_name. JavaScript functions are
// shown by their own name, the same whichever compiler of V8 made the code,
// with the file and the first line of their declaration; other names are
// demangled. `file` "" and `line` 0: unknown.
SymbolLine JitSymbolLine(std::string_view name, std::string_view file,
                         uint32_t line, DemangleStyle style);

}  // namespace pprofd

#endif  // SYMBOLIZER_JIT_SYMBOLS_H_
