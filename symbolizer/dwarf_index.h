// DwarfIndex: ModuleAddr → lines with inlined calls, from one file's DWARF.
//
// Two steps, both lazy: a table of compilation units by address (their own
// ranges; .debug_aranges is often incomplete), and per unit, when an address
// first falls into it, a UnitIndex. Names are read when first hit. libdw's own
// look-ups by address are not used: they walk a unit for each question.
// Units whose DIEs are in a file of their own that is missing give lines only.
// Of units that claim the same code the first is believed.
// Owns: the indexes. Borrows: SplitFiles; the DwarfFile and SymbolPool of each
//   call, which must be of the same file, and the same pool, every time.
// Thread: one owner at a time.
// Bound: kMaxUnits, kMaxRanges, kMaxUnitBytes; AbbreviationLimits, beyond which
//   there are no units; DropUnits() for fewer bytes.
#ifndef SYMBOLIZER_DWARF_INDEX_H_
#define SYMBOLIZER_DWARF_INDEX_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "daemon/model/ids.h"
#include "symbolizer/dwarf_file.h"
#include "symbolizer/dwarf_names.h"
#include "symbolizer/dwarf_unit.h"
#include "symbolizer/split_files.h"
#include "symbolizer/symbol_pool.h"

namespace pprofd {

class DwarfIndex {
 public:
  static constexpr size_t kMaxUnits = 1 << 18;
  static constexpr uint64_t kMaxRanges = 4 << 20;  // of all units
  static constexpr size_t kMaxUnitBytes = 256 << 20;
  using Deadline = std::chrono::steady_clock::time_point;

  enum class Answer {
    kFunction,  // lines of a function, and of calls inlined into it
    kLineOnly,  // one line without a function (assembly)
    kNothing,
    kTimeout,  // the deadline passed before the unit was indexed
  };

  // Lists the units of `file`. `split_files` is borrowed for good.
  DwarfIndex(DwarfFile& file, SplitFiles& split_files);

  // Appends to `lines`, innermost call first.
  Answer Find(DwarfFile& file, SymbolPool& pool, ModuleAddr address,
              Deadline deadline, std::vector<CodeLine>& lines);

  // To be called before `file` is closed: drops views into it, and closes the
  // files of split units.
  void EndBatch() {
    names_.DropViews();
    split_.reset();
    split_files_.CloseAll();
  }
  // Drops the least recently used unit indexes until at most max_bytes remain.
  void DropUnits(size_t max_bytes);

  size_t unit_count() const { return units_.size(); }
  size_t bytes() const;

 private:
  struct Unit {
    uint64_t die_offset = 0;
    uint64_t end_offset = 0;
    uint64_t last_used = 0;
    std::unique_ptr<UnitIndex> index = nullptr;
    bool is_skeleton = false;   // whose DIEs are not known to be missing
    uint64_t split_offset = 0;  // of its DIE, where they are
  };
  void ListUnits(DwarfFile& file);
  bool IndexUnrangedUnits(DwarfFile& file, Deadline deadline);
  const SplitUnit* SplitOf(DwarfFile& file, Unit& unit);
  UnitIndex& IndexOf(DwarfFile& file, Unit& unit);
  Answer FindInUnit(DwarfFile& file, SymbolPool& pool, uint32_t number,
                    ModuleAddr address, std::vector<CodeLine>& lines);
  CodeLine MakeLine(const Declaration& declaration, uint32_t file,
                    uint32_t line, uint32_t column);
  void AddCalls(const UnitReading& unit, const UnitIndex& index,
                uint32_t innermost, const LineRow* row,
                std::vector<CodeLine>& lines);
  const ScopeTable* ScopesOf(DieSpace space, uint64_t unit_die) const;

  SplitFiles& split_files_;
  std::optional<SplitUnit> split_;  // asked for last,
  uint64_t split_skeleton_ = 0;     // and the offset of its skeleton's DIE
  std::vector<Unit> units_;
  RangeMap ranges_;                 // address → number of a unit
  std::vector<uint32_t> unranged_;  // units that do not say where they are
  size_t unranged_indexed_ = 0;
  std::vector<RangeMap::Range> late_ranges_list_;
  RangeMap late_ranges_;  // of unranged_, once all are indexed
  size_t unit_bytes_ = 0;
  uint64_t uses_ = 0;
  size_t indexed_since_restart_ = 0;
  DwarfNames names_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_DWARF_INDEX_H_
