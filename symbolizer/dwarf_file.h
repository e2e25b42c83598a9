// DwarfFile: libdw's view of one ELF file, of the alternate file that dwz made,
// and the line sections beside it.
//
// libdw opens no file: it gets memory only, links to alternate files are hidden
// from it, and it is never asked for the split unit of a skeleton.
// libdw keeps whatever it parses (abbreviations, units) until the end;
// Restart() throws that away and costs next to nothing. Files are mapped by us,
// never by libdw, so that a file cut while in use reads as zeros (see MapFile).
// Owns: the mapping, Elf, Dwarf, the alternate file. Borrows: nothing.
// Thread: one owner at a time.
// Bound: kMaxDecompressedBytes of compressed sections.
// Fails: Corrupt, Unsupported, NotFound (no DWARF in it), Exhausted.
#ifndef SYMBOLIZER_DWARF_FILE_H_
#define SYMBOLIZER_DWARF_FILE_H_

#include <elfutils/libdw.h>
#include <libelf.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "symbolizer/die_shapes.h"

namespace pprofd {

struct ElfHandleTraits {
  using Value = Elf*;
  static Value Null() { return nullptr; }
  static void Release(Value elf) { elf_end(elf); }
};
struct DwarfHandleTraits {
  using Value = Dwarf*;
  static Value Null() { return nullptr; }
  static void Release(Value dwarf) { dwarf_end(dwarf); }
};

// Sections that line tables are made of; empty spans where absent.
struct LineSections {
  std::span<const uint8_t> line;
  std::span<const uint8_t> str;
  std::span<const uint8_t> line_str;
};
// Sections that DIEs are read with, likewise.
struct DieSections {
  std::span<const uint8_t> info;
  std::span<const uint8_t> abbreviations;
  std::span<const uint8_t> addresses;
  std::span<const uint8_t> ranges;       // before DWARF 5
  std::span<const uint8_t> range_lists;  // since
};
// Views into `dwarf`'s own sections, valid as long as its Elf is.
LineSections FindLineSections(Dwarf* dwarf);
// Likewise the section called `.name`, or `.zname` in the old compressed form.
std::span<const uint8_t> FindSection(Dwarf* dwarf, std::string_view name);

class DwarfFile {
 public:
  static constexpr uint64_t kMaxDecompressedBytes = 384 << 20;

  static Result<std::unique_ptr<DwarfFile>> Open(
      MemoryMap map, std::unique_ptr<DwarfFile> alternate = nullptr);

  Dwarf* dwarf() { return dwarf_.get(); }
  DwarfFile* alternate() { return alternate_.get(); }
  const LineSections& line_sections() const { return line_sections_; }
  const DieSections& die_sections() const { return die_sections_; }
  // How the DIEs of a unit of dwarf() are laid out; valid until the next call.
  const DieShapes& ShapesOf(Dwarf_CU* unit, const UnitFormat& format);
  // Of compressed sections, which live in memory while the file is open.
  uint64_t decompressed_bytes() const {
    return decompressed_bytes_ +
           (alternate_ ? alternate_->decompressed_bytes() : 0);
  }
  // Start and end of the code of the file: ranges outside of it are left-overs
  // of functions that the linker dropped.
  uint64_t code_start() const { return code_start_; }
  uint64_t code_end() const { return code_end_; }

  // Forgets what libdw has cached. Invalidates everything got from dwarf().
  Status Restart();

 private:
  DwarfFile() = default;

  std::unique_ptr<DwarfFile> alternate_;  // outlives dwarf_
  MemoryMap map_;
  UniqueHandle<ElfHandleTraits> elf_;
  UniqueHandle<DwarfHandleTraits> dwarf_;
  LineSections line_sections_;
  DieSections die_sections_;
  // Units may share their abbreviations.
  std::optional<uint64_t> shapes_offset_;
  UnitFormat shapes_format_;
  DieShapes shapes_;
  uint64_t decompressed_bytes_ = 0;
  uint64_t code_start_ = 0;
  uint64_t code_end_ = UINT64_MAX;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_DWARF_FILE_H_
