// Line programs: .debug_line of DWARF 2 to 5 to a table of lines by address.
//
// Read here rather than by libdw, which mixes the sequences of functions that
// the linker dropped (they start at 0) into those that live there, and keeps
// 56 bytes a row until the file is closed. Ours are 12 bytes, deduplicated.
// Thread: pure.
// Bound: kMaxProgramBytes of line program and kMaxRows per unit, kMaxNames
// files
//   or folders.
#ifndef SYMBOLIZER_LINE_PROGRAM_H_
#define SYMBOLIZER_LINE_PROGRAM_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "symbolizer/dwarf_file.h"

namespace pprofd {

struct LineHeader {
  static constexpr uint64_t kMaxProgramBytes = 16 << 20;
  static constexpr size_t kMaxNames = 65534;
  static constexpr size_t kMaxNameBytes = 4096;  // beyond, it is cut

  struct File {
    std::string_view name;
    uint64_t folder = 0;
  };

  uint16_t version = 0;
  uint8_t address_size = 8;
  uint8_t offset_size = 4;
  uint8_t min_instruction_bytes = 1;
  int8_t line_base = 0;
  uint8_t line_range = 1;
  uint8_t opcode_base = 1;
  std::vector<uint8_t> opcode_lengths;  // of opcodes 1 … opcode_base - 1
  std::vector<std::string_view> folders;
  std::vector<File> files;  // numbered as in this version, 0 unused before 5
  std::span<const uint8_t> program;

  // The header at `offset` of .debug_line; nothing if it makes no sense.
  static std::optional<LineHeader> Parse(const LineSections& sections,
                                         uint64_t offset);

  // Absolute path of a file when that can be known; "" for a bad number.
  std::string Path(uint64_t file, std::string_view compilation_folder) const;
};

struct LineRow {
  static constexpr uint16_t kNoFile = UINT16_MAX;

  uint32_t offset = 0;  // from the table's base
  uint32_t line = 0;
  uint16_t file = kNoFile;  // kNoFile: no line from here on
  uint16_t column = 0;
};

class LineTable {
 public:
  static constexpr size_t kMaxRows = 2 << 20;

  LineTable() = default;
  // Runs a line program; sequences whose start `is_code` refuses are left out.
  LineTable(const LineHeader& header,
            const std::function<bool(uint64_t address)>& is_code);

  // nullptr: no line is known. The row's file is a number of the header.
  const LineRow* Find(uint64_t address) const;
  bool empty() const { return rows_.empty(); }
  size_t bytes() const { return rows_.capacity() * sizeof(LineRow); }

 private:
  uint64_t base_ = 0;
  std::vector<LineRow> rows_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_LINE_PROGRAM_H_
