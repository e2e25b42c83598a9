// SplitUnit: a compilation unit whose DIEs are in a .dwo or .dwp file.
//
// Its addresses are numbers of entries in the main file's .debug_addr, and its
// ranges either lists beside it (DWARF 5) or in the main file (GNU's form for
// DWARF 4). libdw would open the other file itself to follow them, hence ours.
// Borrows: both files. Thread: one owner at a time.
// Bound: kMaxRangesOfDie.
#ifndef SYMBOLIZER_SPLIT_UNIT_H_
#define SYMBOLIZER_SPLIT_UNIT_H_

#include <elfutils/libdw.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "symbolizer/dwarf_file.h"
#include "symbolizer/range_map.h"

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
  static constexpr size_t kMaxRangesOfDie = 1 << 16;

  // Nothing when `unit_die` of `split` cannot be read.
  static std::optional<SplitUnit> Open(DwarfFile& main,
                                       const Skeleton& skeleton,
                                       DwarfFile& split, Dwarf_Die unit_die);

  Dwarf* dwarf() const { return dwarf_; }
  Dwarf_Die unit_die() const { return unit_die_; }
  uint64_t end_offset() const { return end_offset_; }

  // Address ranges of a DIE of the unit.
  std::vector<RangeMap::Range> RangesOf(Dwarf_Die* die) const;

 private:
  SplitUnit() = default;

  std::span<const uint8_t> ValueOf(const Dwarf_Attribute& attribute) const;
  std::optional<uint64_t> AddressAt(uint64_t index) const;
  std::optional<uint64_t> AddressOf(Dwarf_Attribute* attribute) const;
  // Offset of a list in `lists_`.
  std::optional<uint64_t> ListOf(Dwarf_Attribute* attribute) const;
  std::vector<RangeMap::Range> ReadList4(uint64_t offset) const;
  std::vector<RangeMap::Range> ReadList5(uint64_t offset) const;

  Dwarf* dwarf_ = nullptr;
  Dwarf_Die unit_die_{};
  uint64_t end_offset_ = 0;
  uint16_t version_ = 0;
  uint8_t offset_size_ = 4;
  uint64_t base_ = 0;
  std::span<const uint8_t> addresses_;
  std::span<const uint8_t> lists_;  // of this unit and those after it
};

}  // namespace pprofd

#endif  // SYMBOLIZER_SPLIT_UNIT_H_
