// UnitIndex: functions and inlined calls of one compilation unit, by address.
//
// One walk over the unit's DIEs gives a tree of calls (28 bytes each) and a
// flat map from addresses to the innermost of them. Names are not read here but
// when an address is first hit: most functions never are. Thread: immutable
// once built. Bound: kMaxDies DIEs, kMaxRanges ranges; deeper than kMaxDepth is
// skipped.
#ifndef SYMBOLIZER_DWARF_UNIT_H_
#define SYMBOLIZER_DWARF_UNIT_H_

#include <elfutils/libdw.h>

#include <cstdint>
#include <vector>

#include "symbolizer/dwarf_scopes.h"
#include "symbolizer/line_program.h"
#include "symbolizer/range_map.h"
#include "symbolizer/split_unit.h"

namespace pprofd {

// Where a DIE is: in the file with the unit's DIEs, or in the one that dwz
// moved common parts to.
struct DieRef {
  uint64_t offset = 0;
  bool is_alternate = false;
};

// A function, or a call that was inlined into one.
struct Call {
  static constexpr uint32_t kNone = UINT32_MAX;

  DieRef named_by;          // the DIE to ask for names
  uint32_t parent = kNone;  // the call it is inlined into; kNone: a function
  uint32_t call_line = 0;   // in the parent
  uint16_t call_file = 0;
  uint16_t call_column = 0;
};

struct UnitIndex {
  static constexpr size_t kMaxDies = 4 << 20;
  static constexpr size_t kMaxRanges = 1 << 20;
  static constexpr size_t kMaxDepth = 256;

  RangeMap ranges;  // address → number of a call
  std::vector<Call> calls;
  LineTable lines;
  ScopeTable scopes;    // of C++ units
  bool is_cut = false;  // a bound was met

  size_t bytes() const {
    return sizeof(*this) + ranges.bytes() + calls.capacity() * sizeof(Call) +
           lines.bytes() + scopes.bytes();
  }
};

// Address ranges of a DIE that lie in the code of the file. `budget` is what
// may be read, other ranges included, and goes down by what was.
std::vector<RangeMap::Range> CodeRanges(DwarfFile& file, Dwarf_Die* die,
                                        uint64_t& budget);

// Walks the unit of `unit_die`, which ends at offset `unit_end`. If that is a
// skeleton, the DIEs are those of `split`, which may be nullptr.
UnitIndex BuildUnitIndex(DwarfFile& file, Dwarf_Die unit_die, uint64_t unit_end,
                         const SplitUnit* split);

// The scopes alone, of a unit that dwz made: it does not say its language.
ScopeTable BuildScopes(DwarfFile& file, Dwarf_Die unit_die, uint64_t unit_end);

// The unit's line table header; nothing when there is none.
std::optional<LineHeader> UnitLineHeader(const LineSections& sections,
                                         Dwarf_Die* unit_die);

}  // namespace pprofd

#endif  // SYMBOLIZER_DWARF_UNIT_H_
