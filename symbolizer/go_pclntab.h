// GoPclntab: functions, files and lines of Go's own table, .gopclntab.
//
// The Go runtime needs the table for its stack traces, so that it is there even
// in binaries linked with -s -w. Layouts of Go 1.16, 1.18 and 1.20 on. It is
// read in place: a look-up is one binary search and three short decodings.
// Calls inlined into a function are not told apart here: a line of another file
// is one of them and is left out.
// Borrows: the bytes of the file.
// Thread: immutable.
#ifndef SYMBOLIZER_GO_PCLNTAB_H_
#define SYMBOLIZER_GO_PCLNTAB_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "daemon/model/ids.h"
#include "symbolizer/elf_file.h"

namespace pprofd {

struct GoLine {
  std::string_view function;
  std::string_view file;    // "" unknown
  uint32_t line = 0;        // 0 unknown
  uint32_t start_line = 0;  // 0 before Go 1.20
};

class GoPclntab {
 public:
  // Nothing when the file has no table, or one of another layout.
  static std::optional<GoPclntab> Open(const ElfFile& file);

  std::optional<GoLine> Find(ModuleAddr address) const;
  uint64_t function_count() const { return function_count_; }

 private:
  struct Function {
    uint64_t entry = 0;
    uint32_t name = 0;
    uint32_t pc_file = 0;
    uint32_t pc_line = 0;
    uint32_t unit = 0;
    uint32_t start_line = 0;
  };

  std::span<const uint8_t> From(uint64_t offset) const {
    return offset <= table_.size() ? table_.subspan(offset) : table_.last(0);
  }
  uint64_t EntryOf(uint64_t number) const;
  std::optional<Function> ReadFunction(uint64_t number) const;
  int64_t ValueAt(uint32_t program, uint64_t entry, uint64_t address) const;
  std::string_view FileName(const Function& function, int64_t number) const;

  std::span<const uint8_t> table_;
  bool has_offsets_ = false;  // Go 1.18: entries are offsets from text_start_
  bool has_start_line_ = false;  // Go 1.20
  uint8_t quantum_ = 1;          // smallest size of an instruction
  uint64_t function_count_ = 0;
  uint64_t text_start_ = 0;
  uint64_t names_ = 0;  // offsets of the parts of the table
  uint64_t units_ = 0;
  uint64_t files_ = 0;
  uint64_t programs_ = 0;
  uint64_t functions_ = 0;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_GO_PCLNTAB_H_
