// UnitRanges: where the code of a unit's DIEs is, from their attributes.
//
// Addresses may be numbers of entries in .debug_addr, and ranges lists of two
// kinds, for units with DIEs of their own and for split ones alike.
// Borrows: the sections.
// Thread: immutable.
// Bound: kMaxEntriesOfDie.
#ifndef SYMBOLIZER_UNIT_RANGES_H_
#define SYMBOLIZER_UNIT_RANGES_H_

#include <elfutils/libdw.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "symbolizer/die_shapes.h"
#include "symbolizer/dwarf_file.h"
#include "symbolizer/range_map.h"

namespace pprofd {

// Bytes before the table of lists in .debug_rnglists.
constexpr uint64_t RangeListHeaderBytes(const UnitFormat& format) {
  return format.offset_size == 8 ? 20 : 12;
}

class UnitRanges {
 public:
  static constexpr size_t kMaxEntriesOfDie = 1 << 16;

  struct Sections {
    uint64_t base = 0;                   // address that ranges count from
    std::span<const uint8_t> addresses;  // the unit's part of .debug_addr
    // .debug_ranges, or .debug_rnglists since version 5, as offsets count.
    std::span<const uint8_t> lists;
    uint64_t list_table = 0;  // offset of the unit's table of lists
  };

  UnitRanges() = default;
  UnitRanges(const UnitFormat& format, const Sections& sections)
      : format_(format), sections_(sections) {}

  // Appends the ranges of one DIE; they may be empty or of dropped code.
  // Returns how many entries of a list were read.
  uint64_t Append(const DieValues& values,
                  std::vector<RangeMap::Range>& ranges) const;

 private:
  std::optional<uint64_t> AddressAt(uint64_t index) const;
  std::optional<uint64_t> AddressOf(const FormValue& value) const;
  std::optional<uint64_t> EndOf(uint64_t start, const FormValue& value) const;
  // Offset of a list in the section.
  std::optional<uint64_t> ListOf(const FormValue& value) const;
  uint64_t AppendList4(uint64_t offset,
                       std::vector<RangeMap::Range>& ranges) const;
  uint64_t AppendList5(uint64_t offset,
                       std::vector<RangeMap::Range>& ranges) const;

  UnitFormat format_;
  Sections sections_;
};

// Of a unit of `file` that is not split.
UnitRanges RangesOfUnit(DwarfFile& file, Dwarf_Die unit_die,
                        const UnitFormat& format);

}  // namespace pprofd

#endif  // SYMBOLIZER_UNIT_RANGES_H_
