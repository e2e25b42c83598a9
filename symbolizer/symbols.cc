#include "symbolizer/symbols.h"

#include <utility>

namespace pprofd {

SymbolChain ModuleSymbols::Chain(size_t i) const {
  SymbolChain chain;
  if (i >= chain_ends.size()) return chain;
  for (size_t k = i == 0 ? 0 : chain_ends[i - 1]; k < chain_ends[i]; ++k) {
    const SymbolFunction& function = functions[calls[k].function];
    chain.push_back({.name = std::string(function.name),
                     .system_name = std::string(function.system_name),
                     .file = std::string(function.file),
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
    functions.push_back({.name = Keep(line.name),
                         .system_name = Keep(line.system_name),
                         .file = Keep(line.file),
                         .start_line = line.start_line});
  }
  chain_ends.push_back(static_cast<uint32_t>(calls.size()));
}

std::string_view ModuleSymbols::Keep(std::string text) {
  if (own_texts == nullptr) {
    own_texts = std::make_shared<std::deque<std::string>>();
  }
  return own_texts->emplace_back(std::move(text));
}

}  // namespace pprofd
