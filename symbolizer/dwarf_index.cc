#include "symbolizer/dwarf_index.h"

#include <dwarf.h>

#include <algorithm>

#include "symbolizer/abbreviation_limits.h"

namespace pprofd {
namespace {

// libdw keeps abbreviations of each unit it has seen, some 30 KB each.
constexpr size_t kUnitsBetweenRestarts = 128;

// Of units that claim the same code the first is right: where the linker drops
// a copy of an inline function, it makes that unit point to the one it keeps.
RangeMap::Range RangeOfUnit(RangeMap::Range range, uint32_t number) {
  range.priority = UINT32_MAX - number;
  range.value = number;
  return range;
}

}  // namespace

DwarfIndex::DwarfIndex(DwarfFile& file, SplitFiles& split_files)
    : split_files_(split_files),
      names_([this](DieSpace space, uint64_t offset) {
        return ScopesOf(space, offset);
      }) {
  ListUnits(file);
}

void DwarfIndex::ListUnits(DwarfFile& file) {
  bool is_fit = HasFewAbbreviations(file.dwarf()) &&
                (file.alternate() == nullptr ||
                 HasFewAbbreviations(file.alternate()->dwarf()));
  if (!is_fit) return;
  std::vector<RangeMap::Range> ranges;
  uint64_t range_budget = kMaxRanges;
  Dwarf_Off offset = 0;
  Dwarf_Off next = 0;
  size_t header_size = 0;
  while (units_.size() < kMaxUnits && range_budget > 0 &&
         dwarf_nextcu(file.dwarf(), offset, &next, &header_size, nullptr,
                      nullptr, nullptr) == 0) {
    Dwarf_Die die;
    Dwarf_Off die_offset = offset + header_size;
    offset = next;
    if (dwarf_offdie(file.dwarf(), die_offset, &die) == nullptr ||
        (dwarf_tag(&die) != DW_TAG_compile_unit &&
         dwarf_tag(&die) != DW_TAG_skeleton_unit)) {
      continue;
    }
    auto number = static_cast<uint32_t>(units_.size());
    std::vector<RangeMap::Range> unit_ranges =
        CodeRanges(file, &die, range_budget);
    if (unit_ranges.empty() && dwarf_haschildren(&die) != 1) continue;
    bool is_skeleton = dwarf_hasattr(&die, DW_AT_dwo_name) == 1 ||
                       dwarf_hasattr(&die, DW_AT_GNU_dwo_name) == 1;
    // libdw believes the unit's header.
    Dwarf_Off end = std::min<Dwarf_Off>(next, file.die_sections().info.size());
    units_.push_back({.die_offset = die_offset,
                      .end_offset = end,
                      .is_skeleton = is_skeleton});
    if (unit_ranges.empty()) unranged_.push_back(number);
    for (const RangeMap::Range& range : unit_ranges) {
      ranges.push_back(RangeOfUnit(range, number));
    }
  }
  ranges_ = RangeMap(std::move(ranges));
}

DwarfIndex::Answer DwarfIndex::Find(DwarfFile& file, SymbolPool& pool,
                                    ModuleAddr address, Deadline deadline,
                                    std::vector<CodeLine>& lines) {
  if (std::chrono::steady_clock::now() >= deadline) return Answer::kTimeout;
  std::optional<uint32_t> unit = ranges_.Find(address.value);
  if (!unit) {
    if (!IndexUnrangedUnits(file, deadline)) return Answer::kTimeout;
    unit = late_ranges_.Find(address.value);
    if (!unit) return Answer::kNothing;
  }
  return FindInUnit(file, pool, *unit, address, lines);
}

// Units without ranges mostly hold data only, so they wait until an address is
// in no other unit. False when the deadline passed.
bool DwarfIndex::IndexUnrangedUnits(DwarfFile& file, Deadline deadline) {
  if (unranged_indexed_ == unranged_.size()) return true;
  while (unranged_indexed_ < unranged_.size() &&
         late_ranges_list_.size() < kMaxRanges) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    uint32_t number = unranged_[unranged_indexed_++];
    UnitIndex& index = IndexOf(file, units_[number]);
    if (index.ranges.empty()) {
      unit_bytes_ -= index.bytes();
      units_[number].index.reset();
      continue;
    }
    for (const RangeMap::Range& range : index.ranges.Segments()) {
      late_ranges_list_.push_back(RangeOfUnit(range, number));
    }
  }
  unranged_indexed_ = unranged_.size();
  late_ranges_ = RangeMap(std::exchange(late_ranges_list_, {}));
  return true;
}

// nullptr for a unit with DIEs of its own, and once they were missing.
const SplitUnit* DwarfIndex::SplitOf(DwarfFile& file, Unit& unit) {
  if (!unit.is_skeleton) return nullptr;
  if (split_ && split_skeleton_ == unit.die_offset) return &*split_;
  split_.reset();
  split_skeleton_ = unit.die_offset;
  Dwarf_Die die;
  if (dwarf_offdie(file.dwarf(), unit.die_offset, &die) != nullptr) {
    if (auto skeleton = ReadSkeleton(die)) {
      split_ = split_files_.Find(file, *skeleton);
    }
  }
  unit.is_skeleton = split_.has_value();
  return split_ ? &*split_ : nullptr;
}

UnitIndex& DwarfIndex::IndexOf(DwarfFile& file, Unit& unit) {
  unit.last_used = ++uses_;
  if (unit.index != nullptr) return *unit.index;
  if (unit_bytes_ > kMaxUnitBytes) DropUnits(kMaxUnitBytes / 2);
  unit.index = std::make_unique<UnitIndex>();
  if (++indexed_since_restart_ >= kUnitsBetweenRestarts) {
    indexed_since_restart_ = 0;
    EndBatch();
    if (!file.Restart().ok()) return *unit.index;
  }
  Dwarf_Die die;
  if (dwarf_offdie(file.dwarf(), unit.die_offset, &die) != nullptr) {
    const SplitUnit* split = SplitOf(file, unit);
    if (split != nullptr) {
      Dwarf_Die split_die = split->unit_die();
      unit.split_offset = dwarf_dieoffset(&split_die);
    }
    *unit.index = BuildUnitIndex(file, die, unit.end_offset, split);
  }
  unit_bytes_ += unit.index->bytes();
  return *unit.index;
}

DwarfIndex::Answer DwarfIndex::FindInUnit(DwarfFile& file, SymbolPool& pool,
                                          uint32_t number, ModuleAddr address,
                                          std::vector<CodeLine>& lines) {
  Unit& unit = units_[number];
  const UnitIndex& index = IndexOf(file, unit);
  std::optional<uint32_t> innermost = index.ranges.Find(address.value);
  const LineRow* row = index.lines.Find(address.value);
  if (!innermost && row == nullptr) return Answer::kNothing;
  Dwarf_Die unit_die;
  if (dwarf_offdie(file.dwarf(), unit.die_offset, &unit_die) == nullptr) {
    return Answer::kNothing;
  }
  UnitReading reading{
      .file = file, .pool = pool, .unit_die = unit_die, .dwarf = file.dwarf()};
  if (!innermost) {
    uint32_t path = names_.FileOf(reading, row->file);
    lines.push_back(MakeLine({}, path, row->line, row->column));
    return Answer::kLineOnly;
  }
  if (unit.is_skeleton) {
    const SplitUnit* split = SplitOf(file, unit);
    if (split == nullptr) {  // it is gone since the unit was indexed
      unit_bytes_ -= unit.index->bytes();
      unit.index.reset();
      return FindInUnit(file, pool, number, address, lines);
    }
    reading.dwarf = split->dwarf();
    reading.space = kFirstSplitDies + number;
  }
  AddCalls(reading, index, *innermost, row, lines);
  return Answer::kFunction;
}

// A call whose name is in a file that is missing is left out: its caller is at
// the line of the call.
void DwarfIndex::AddCalls(const UnitReading& unit, const UnitIndex& index,
                          uint32_t innermost, const LineRow* row,
                          std::vector<CodeLine>& lines) {
  uint32_t line = 0;
  uint32_t column = 0;
  uint32_t path = 0;
  if (row != nullptr) {
    line = row->line;
    column = row->column;
    path = names_.FileOf(unit, row->file);
  }
  for (uint32_t i = innermost; i != Call::kNone; i = index.calls[i].parent) {
    const Call& call = index.calls[i];
    const Declaration& declaration = names_.Declare(unit, call.named_by);
    if (!declaration.is_nameless() || call.parent == Call::kNone) {
      lines.push_back(MakeLine(declaration, path, line, column));
    }
    line = call.call_line;
    column = call.call_column;
    path = names_.FileOf(unit, call.call_file);
  }
}

// A function's file is that of its line, so that tools find the source of the
// line; its start line holds only where both are in one file.
CodeLine DwarfIndex::MakeLine(const Declaration& declaration, uint32_t file,
                              uint32_t line, uint32_t column) {
  PooledFunction function{.name = declaration.name,
                          .linkage_name = declaration.linkage_name,
                          .file = file,
                          .start_line = 0};
  if (file == 0) function.file = declaration.file;
  if (function.file == declaration.file) function.start_line = declaration.line;
  return {.function = function, .line = line, .column = column};
}

const ScopeTable* DwarfIndex::ScopesOf(DieSpace space, uint64_t offset) const {
  if (space >= kFirstSplitDies) {
    const Unit& unit = units_[space - kFirstSplitDies];
    bool is_its = unit.index != nullptr && unit.split_offset == offset;
    return is_its ? &unit.index->scopes : nullptr;
  }
  if (space != kOwnDies) return nullptr;
  auto unit = std::lower_bound(
      units_.begin(), units_.end(), offset,
      [](const Unit& u, uint64_t value) { return u.die_offset < value; });
  if (unit == units_.end() || unit->die_offset != offset ||
      unit->index == nullptr) {
    return nullptr;
  }
  return &unit->index->scopes;
}

void DwarfIndex::DropUnits(size_t max_bytes) {
  if (unit_bytes_ <= max_bytes) return;
  std::vector<Unit*> indexed;
  for (Unit& unit : units_) {
    if (unit.index != nullptr) indexed.push_back(&unit);
  }
  std::sort(indexed.begin(), indexed.end(), [](const Unit* a, const Unit* b) {
    return a->last_used < b->last_used;
  });
  for (Unit* unit : indexed) {
    if (unit_bytes_ <= max_bytes) break;
    unit_bytes_ -= unit->index->bytes();
    unit->index.reset();
  }
}

size_t DwarfIndex::bytes() const {
  return unit_bytes_ + ranges_.bytes() + late_ranges_.bytes() +
         units_.capacity() * sizeof(Unit) + names_.bytes();
}

}  // namespace pprofd
