#include "symbolizer/symbols.h"

namespace pprofd {

SymbolChain ModuleSymbols::Chain(size_t i) const {
  SymbolChain chain;
  if (i >= chain_ends.size()) return chain;
  for (size_t k = i == 0 ? 0 : chain_ends[i - 1]; k < chain_ends[i]; ++k) {
    const SymbolFunction& function = functions[calls[k].function];
    chain.push_back({.name = function.name,
                     .system_name = function.system_name,
                     .file = function.file,
                     .line = calls[k].line,
                     .column = calls[k].column,
                     .start_line = function.start_line});
  }
  return chain;
}

void ModuleSymbols::AddChain(const SymbolChain& chain) {
  for (const SymbolLine& line : chain) {
    calls.push_back({.function = static_cast<uint32_t>(functions.size()),
                     .line = static_cast<uint32_t>(line.line),
                     .column = static_cast<uint32_t>(line.column)});
    functions.push_back({.name = line.name,
                         .system_name = line.system_name,
                         .file = line.file,
                         .start_line = line.start_line});
  }
  chain_ends.push_back(static_cast<uint32_t>(calls.size()));
}

}  // namespace pprofd
