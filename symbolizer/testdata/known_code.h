// What tests of known_code.cc share: where its files are, and its addresses.
//
// The files are made beside the tests; see CMakeLists.txt.
#ifndef SYMBOLIZER_TESTDATA_KNOWN_CODE_H_
#define SYMBOLIZER_TESTDATA_KNOWN_CODE_H_

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <string>

#include "daemon/base/unique_handle.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/symbol_table.h"

namespace pprofd {

inline std::string TargetPath(const std::string& variant) {
  return std::string(PPROFD_KNOWN_CODE) + variant;
}

inline UniqueFd OpenFile(const std::string& path) {
  return UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

inline auto NoDeadline() {
  return std::chrono::steady_clock::now() + std::chrono::hours(1);
}

// Value of a symbol of an unstripped variant, or of the file at a path.
inline ModuleAddr AddressOf(const std::string& wanted,
                            const std::string& variant = "") {
  bool is_path = variant.starts_with("/");
  UniqueFd fd = OpenFile(is_path ? variant : TargetPath(variant));
  auto map = MapFile(fd.get());
  auto elf = ElfFile::Parse(Bytes(*map));
  const ElfSection* symtab = elf->FindSection(".symtab");
  const ElfSection& strings = elf->sections()[symtab->link];
  for (uint64_t i = 0; i < symtab->size; i += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol;
    std::memcpy(&symbol, elf->bytes().data() + symtab->offset.value + i,
                sizeof(symbol));
    if (NameAt(*elf, {strings.offset.value + symbol.st_name}) == wanted) {
      return {symbol.st_value};
    }
  }
  ADD_FAILURE() << "no symbol " << wanted;
  return {};
}

}  // namespace pprofd

#endif  // SYMBOLIZER_TESTDATA_KNOWN_CODE_H_
