// SymbolTable: functions of .symtab and .dynsym by address.
//
// A symbol with a size covers exactly that, so that code of a stripped static
// function is not named after the exported function before it. A symbol without
// one (hand-written assembly) covers the bytes up to the next symbol of its
// section, unless a sized symbol covers it already. Where symbols overlap, the
// later start wins for as long as it lasts. Of several names for one start
// (aliases) the best is kept: function before untyped, sized before unsized,
// global before weak before local, fewer leading underscores, shorter, first in
// the alphabet. An indirect function (GNU ifunc) is a function whose code is
// what chooses.
// Names stay in the file: the table holds 12 bytes a symbol and asks for the
// file's bytes when a name is wanted.
// Thread: immutable once built.
// Bound: kMaxSymbols, kMaxEntries.
#ifndef SYMBOLIZER_SYMBOL_TABLE_H_
#define SYMBOLIZER_SYMBOL_TABLE_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "daemon/model/ids.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/range_map.h"

namespace pprofd {

class SymbolTable {
 public:
  static constexpr size_t kMaxSymbols = 4 << 20;
  static constexpr size_t kMaxEntries = 16 << 20;  // of one section

  // Functions of `file`; empty when it has none. Symbols without a size take
  // no bytes that `beside`, another table of the same code, has a name for.
  static SymbolTable Read(const ElfFile& file,
                          const SymbolTable* beside = nullptr);

  // Offset of the name of the function at `address` in the file's bytes.
  std::optional<FileOffset> Find(ModuleAddr address) const;
  size_t symbol_count() const { return symbol_count_; }
  size_t bytes() const { return functions_.bytes(); }

 private:
  RangeMap functions_;  // value: offset in the file from names_base_
  uint64_t names_base_ = 0;
  size_t symbol_count_ = 0;
};

// The text at `name` in the file, cut at max_bytes; "" outside.
std::string_view NameAt(const ElfFile& file, FileOffset name,
                        size_t max_bytes = 16 << 10);

}  // namespace pprofd

#endif  // SYMBOLIZER_SYMBOL_TABLE_H_
