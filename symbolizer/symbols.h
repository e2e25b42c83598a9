// ModuleSymbols, SourceReport: what the symbolizer answers.
//
// Plain values. Texts of ModuleSymbols are kept by what they come from, which
// the value holds on to. Thread: values.
#ifndef SYMBOLIZER_SYMBOLS_H_
#define SYMBOLIZER_SYMBOLS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pprofd {

struct SymbolFunction {
  std::string_view name;         // demangled in the style asked for
  std::string_view system_name;  // linkage name
  std::string_view file;         // absolute path, "" unknown
  int64_t start_line = 0;        // of the declaration, 0 unknown
};

// One call level at an address, whole.
struct SymbolLine {
  std::string name;
  std::string system_name;
  std::string file;
  int64_t line = 0;    // 0 unknown
  int64_t column = 0;  // 0 unknown
  int64_t start_line = 0;
};

// Innermost inlined call first, physical function last; empty = unresolved. A
// line without names is that of code in no function: padding, mostly.
using SymbolChain = std::vector<SymbolLine>;

// The chains at the addresses of one question, each function once.
struct ModuleSymbols {
  struct Call {
    uint32_t function = 0;  // index into `functions`
    uint32_t line = 0;
    uint32_t column = 0;
  };
  std::vector<SymbolFunction> functions;
  // Whose texts `functions` show: a module or a message, and what was added.
  std::shared_ptr<const void> source;
  std::shared_ptr<std::deque<std::string>> own_texts;
  std::vector<Call> calls;           // chain after chain
  std::vector<uint32_t> chain_ends;  // in `calls`; parallel to the addresses
  bool has_filenames = false;        // the module's sources can give them
  bool has_line_numbers = false;
  bool has_inline_frames = false;
  // Why names are missing that could have been there (the symbolizer was lost,
  // time was up); "" when all that can be known is there.
  std::string problem;

  size_t size() const { return chain_ends.size(); }
  // The chain at the i-th address; empty where there is none.
  SymbolChain Chain(size_t i) const;
  // For sources that know no more than names.
  void AddChain(const SymbolChain& chain);
  // A text that lives as long as this.
  std::string_view Keep(std::string text);
};

// What names come from, for one module; tells users what is missing.
struct SourceReport {
  // "path or section: found N symbols | why not"; empty: never looked at.
  std::vector<std::string> attempts;
  // Of a module, its separate debug file included:
  bool has_dwarf = false;
  bool has_symtab = false;  // .symtab, which strip removes
  bool has_dynsym = false;
  bool has_go_table = false;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_SYMBOLS_H_
