// SplitUnit: a compilation unit whose DIEs are in a .dwo or .dwp file.
//
// Its addresses are numbers of entries in the main file's .debug_addr, and its
// ranges either lists beside it (DWARF 5) or in the main file (GNU's form for
// DWARF 4). libdw would open the other file itself to follow them, hence ours.
// Borrows: both files. Thread: one owner at a time.
// Bound: that of UnitRanges.
#ifndef SYMBOLIZER_SPLIT_UNIT_H_
#define SYMBOLIZER_SPLIT_UNIT_H_

#include <elfutils/libdw.h>

#include <cstdint>
#include <optional>
#include <string>

#include "symbolizer/dwarf_file.h"
#include "symbolizer/unit_ranges.h"

namespace pprofd {

// What a unit of the main file says of the DIEs that are elsewhere.
struct Skeleton {
  uint64_t id = 0;
  std::string name;            // of the .dwo file
  std::string folder;          // that a relative name starts from
  uint64_t base = 0;           // address that ranges count from
  uint64_t address_table = 0;  // offset in .debug_addr
  uint64_t range_lists = 0;    // offset in .debug_ranges, before DWARF 5
};
// Nothing for a unit with DIEs of its own.
std::optional<Skeleton> ReadSkeleton(Dwarf_Die unit_die);

class SplitUnit {
 public:
  // Nothing when `unit_die` of `split` cannot be read.
  static std::optional<SplitUnit> Open(DwarfFile& main,
                                       const Skeleton& skeleton,
                                       DwarfFile& split, Dwarf_Die unit_die);

  DwarfFile& file() const { return *file_; }
  Dwarf* dwarf() const { return file_->dwarf(); }
  Dwarf_Die unit_die() const { return unit_die_; }
  uint64_t end_offset() const { return end_offset_; }
  const UnitFormat& format() const { return format_; }
  const UnitRanges& ranges() const { return ranges_; }

 private:
  SplitUnit() = default;

  DwarfFile* file_ = nullptr;
  Dwarf_Die unit_die_{};
  uint64_t end_offset_ = 0;
  UnitFormat format_;
  UnitRanges ranges_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_SPLIT_UNIT_H_
