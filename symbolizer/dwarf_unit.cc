#include "symbolizer/dwarf_unit.h"

#include <dwarf.h>

#include <algorithm>
#include <optional>

#include "symbolizer/byte_reader.h"
#include "symbolizer/die_shapes.h"
#include "symbolizer/narrow.h"
#include "symbolizer/unit_ranges.h"

namespace pprofd {
namespace {

// Ranges that may be read for a unit, those of dropped code included.
constexpr uint64_t kMaxRangesRead = 4 * UnitIndex::kMaxRanges;

bool IsNamedScope(int tag) {
  return tag == DW_TAG_namespace || tag == DW_TAG_class_type ||
         tag == DW_TAG_structure_type || tag == DW_TAG_union_type ||
         tag == DW_TAG_interface_type;
}

// Language codes that dwarf.h does not know yet.
constexpr int kLangCplusplus17 = 0x2a;
constexpr int kLangCplusplus20 = 0x2b;

bool IsCplusplus(Dwarf_Die* unit_die) {
  switch (dwarf_srclang(unit_die)) {
    case DW_LANG_C_plus_plus:
    case DW_LANG_C_plus_plus_03:
    case DW_LANG_C_plus_plus_11:
    case DW_LANG_C_plus_plus_14:
    case kLangCplusplus17:
    case kLangCplusplus20:
      return true;
    default:
      return false;
  }
}

uint64_t NumberOf(const FormValue& value) {
  return value.is_constant() ? value.value : 0;
}

// A unit to be walked.
struct WalkedUnit {
  DwarfFile* file = nullptr;  // with its DIEs
  Dwarf_Die unit_die{};
  uint64_t end = 0;  // offset
  UnitFormat format;
  UnitRanges ranges;
  bool is_split = false;
};

class UnitWalk {
 public:
  // `main` has the code.
  UnitWalk(DwarfFile& main, WalkedUnit unit, bool has_scopes)
      : code_start_(main.code_start()),
        code_end_(main.code_end()),
        has_alternate_(main.alternate() != nullptr && !unit.is_split),
        has_scopes_(has_scopes),
        unit_(unit),
        start_(dwarf_dieoffset(&unit_.unit_die)),
        header_bytes_(dwarf_cuoffset(&unit_.unit_die)),
        shapes_(unit_.file->ShapesOf(unit_.unit_die.cu, unit_.format)),
        reader_({static_cast<const uint8_t*>(unit_.unit_die.addr),
                 unit_.end - start_}) {}

  UnitIndex Run() {
    levels_.assign(1, Level());
    const DieShape* unit = shapes_.Find(reader_.Uleb());
    if (unit != nullptr && unit->has_children) {
      shapes_.ReadSibling(*unit, reader_);
      Walk();
    }
    index_.ranges = RangeMap(std::move(ranges_));
    index_.calls.shrink_to_fit();
    index_.scopes.Shrink();
    return std::move(index_);
  }

 private:
  // What holds for the DIEs of one list of siblings.
  struct Level {
    uint32_t call = Call::kNone;    // innermost call
    uint32_t start = 0;             // offset of the parent
    uint32_t scope = Scope::kNone;  // the parent's, if it has one
    bool is_function = false;       // the parent may become a scope
  };

  // Visits what follows the unit's DIE, without recursion.
  void Walk() {
    for (size_t count = 0; !reader_.AtEnd();) {
      auto position = static_cast<uint32_t>(reader_.offset());
      uint64_t code = reader_.Uleb();
      if (code == 0) {
        if (!Leave(position)) return;
        continue;
      }
      const DieShape* shape = shapes_.Find(code);
      if (shape == nullptr) return;
      if (count++ >= UnitIndex::kMaxDies ||
          ranges_.size() >= UnitIndex::kMaxRanges || ranges_left_ == 0) {
        index_.is_cut = true;
        return;
      }
      uint32_t call = levels_.back().call;
      FormValue sibling;
      if (shape->has_code) {
        DieValues values = shapes_.ReadValues(*shape, reader_);
        call = Visit(*shape, position, values);
        sibling = values.sibling;
      } else {
        sibling = shapes_.ReadSibling(*shape, reader_);
        if (shape->tag == DW_TAG_subprogram) call = Call::kNone;
      }
      if (!reader_.ok()) return;
      if (!shape->has_children) continue;
      if (!shape->may_hold_code || levels_.size() >= UnitIndex::kMaxDepth) {
        if (!SkipChildren(position, sibling)) return;
      } else if (!SkipNul()) {
        Enter(position, *shape, call);
      }
    }
  }

  // True for a list of children that is empty.
  bool SkipNul() {
    ByteReader next = reader_;
    bool is_nul = next.U8() == 0 && next.ok();
    if (is_nul) reader_ = next;
    return is_nul;
  }

  // Goes on behind the children of the DIE at `position`, whose attributes have
  // been read.
  bool SkipChildren(uint64_t position, FormValue sibling) {
    for (size_t depth = 1; depth > 0;) {
      uint64_t target = TargetOf(sibling, position);
      if (target > 0) {
        reader_ = ByteReader(reader_.bytes(), target);
        --depth;
      }
      sibling = {};
      if (depth == 0) break;
      position = reader_.offset();
      uint64_t code = reader_.Uleb();
      if (!reader_.ok()) return false;
      if (code == 0) {
        --depth;
        continue;
      }
      const DieShape* shape = shapes_.Find(code);
      if (shape == nullptr) return false;
      FormValue next = shapes_.ReadSibling(*shape, reader_);
      if (!shape->has_children) continue;
      ++depth;
      sibling = next;
    }
    return true;
  }

  // Where a sibling is, from the unit's DIE; 0 unless that is behind
  // `position`.
  uint64_t TargetOf(const FormValue& sibling, uint64_t position) const {
    bool is_here = IsUnitReference(sibling.form) &&
                   sibling.value > header_bytes_ + position &&
                   sibling.value - header_bytes_ <= reader_.bytes().size();
    return is_here ? sibling.value - header_bytes_ : 0;
  }

  static bool IsUnitReference(uint16_t form) {
    return form == DW_FORM_ref1 || form == DW_FORM_ref2 ||
           form == DW_FORM_ref4 || form == DW_FORM_ref8 ||
           form == DW_FORM_ref_udata;
  }

  void Enter(uint32_t position, const DieShape& shape, uint32_t call) {
    Level level{.call = call,
                .start = position,
                .is_function = shape.tag == DW_TAG_subprogram};
    if (has_scopes_ && IsNamedScope(shape.tag)) {
      level.scope = index_.scopes.Add(level.start, EnclosingScope());
    }
    levels_.push_back(level);
  }

  // The innermost scope, a function around becoming one if it is nearer.
  uint32_t EnclosingScope() {
    size_t i = levels_.size();
    while (i > 0 && levels_[i - 1].scope == Scope::kNone &&
           !levels_[i - 1].is_function) {
      --i;
    }
    if (i == 0) return Scope::kNone;
    Level& level = levels_[i - 1];
    if (level.scope == Scope::kNone) {
      uint32_t parent = Scope::kNone;
      for (size_t j = i - 1; j > 0 && parent == Scope::kNone; --j) {
        parent = levels_[j - 1].scope;
      }
      level.scope = index_.scopes.Add(level.start, parent);
    }
    return level.scope;
  }

  // At the NUL that ends a list of siblings. False at the end of the unit's.
  bool Leave(uint32_t position) {
    if (levels_.back().scope != Scope::kNone) {
      index_.scopes.Close(levels_.back().scope, position);
    }
    levels_.pop_back();
    return !levels_.empty();
  }

  // The innermost call for the children of a function or call with code.
  uint32_t Visit(const DieShape& shape, uint32_t position,
                 const DieValues& values) {
    uint32_t around = levels_.back().call;
    bool is_function = shape.tag == DW_TAG_subprogram;
    auto number = static_cast<uint32_t>(index_.calls.size());
    size_t ranges_before = ranges_.size();
    uint64_t read = unit_.ranges.Append(values, ranges_);
    ranges_left_ -= std::min(ranges_left_, read);
    if (!KeepCode(ranges_before, number)) return around;
    index_.calls.push_back(
        {.named_by = NamedBy(position, is_function, values.origin),
         .parent = is_function ? Call::kNone : around,
         .call_line = Narrow<uint32_t>(NumberOf(values.call_line)),
         .call_file = Narrow<uint16_t>(NumberOf(values.call_file)),
         .call_column = Narrow<uint16_t>(NumberOf(values.call_column))});
    return number;
  }

  // Keeps what lies in the code of the file of the ranges from `first` on, as
  // those of a call. False if that is nothing.
  bool KeepCode(size_t first, uint32_t call) {
    auto kept = ranges_.begin() + static_cast<ptrdiff_t>(first);
    for (auto range = kept; range != ranges_.end(); ++range) {
      if (range->start < code_start_ || range->start >= code_end_) continue;
      *kept++ = {.start = range->start,
                 .end = std::min(range->end, code_end_),
                 .priority = static_cast<uint32_t>(levels_.size()),
                 .value = call};
    }
    ranges_.erase(kept, ranges_.end());
    return ranges_.size() > first;
  }

  // Inlined calls share the names of their abstract origin.
  DieRef NamedBy(uint32_t position, bool is_function,
                 const FormValue& origin) const {
    DieRef own{.offset = start_ + position};
    if (is_function) return own;
    if (IsUnitReference(origin.form)) {
      bool is_here = origin.value < header_bytes_ + reader_.bytes().size();
      return is_here ? DieRef{.offset = start_ - header_bytes_ + origin.value}
                     : own;
    }
    switch (origin.form) {
      case DW_FORM_ref_addr:
        return {.offset = origin.value};
      case DW_FORM_GNU_ref_alt:
      case DW_FORM_ref_sup4:
      case DW_FORM_ref_sup8:
        return has_alternate_
                   ? DieRef{.offset = origin.value, .is_alternate = true}
                   : own;
      default:
        return own;
    }
  }

  const uint64_t code_start_;
  const uint64_t code_end_;
  const bool has_alternate_;
  const bool has_scopes_;
  WalkedUnit unit_;
  const uint64_t start_;         // offset of the unit's DIE
  const uint64_t header_bytes_;  // before it
  const DieShapes& shapes_;
  ByteReader reader_;          // from the unit's DIE
  std::vector<Level> levels_;  // never empty during the walk
  std::vector<RangeMap::Range> ranges_;
  uint64_t ranges_left_ = kMaxRangesRead;
  UnitIndex index_;
};

// Nothing when the unit is of another file.
std::optional<WalkedUnit> Describe(DwarfFile& file, Dwarf_Die unit_die,
                                   uint64_t end) {
  UnitFormat format;
  if (dwarf_cu_getdwarf(unit_die.cu) != file.dwarf() ||
      end < dwarf_dieoffset(&unit_die) ||
      dwarf_cu_info(unit_die.cu, &format.version, nullptr, nullptr, nullptr,
                    nullptr, &format.address_size, &format.offset_size) != 0) {
    return std::nullopt;
  }
  return WalkedUnit{.file = &file,
                    .unit_die = unit_die,
                    .end = end,
                    .format = format,
                    .ranges = RangesOfUnit(file, unit_die, format)};
}

}  // namespace

std::vector<RangeMap::Range> CodeRanges(DwarfFile& file, Dwarf_Die* die,
                                        uint64_t& budget) {
  std::vector<RangeMap::Range> ranges;
  Dwarf_Addr base = 0;
  Dwarf_Addr start = 0;
  Dwarf_Addr end = 0;
  ptrdiff_t offset = 0;
  while (budget > 0 &&
         (offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0) {
    --budget;
    if (start < file.code_start() || start >= file.code_end()) continue;
    if (ranges.size() >= UnitRanges::kMaxEntriesOfDie) break;
    ranges.push_back({.start = start, .end = std::min(end, file.code_end())});
  }
  return ranges;
}

std::optional<LineHeader> UnitLineHeader(const LineSections& sections,
                                         Dwarf_Die* unit_die) {
  Dwarf_Attribute attribute;
  Dwarf_Word offset = 0;
  if (dwarf_attr(unit_die, DW_AT_stmt_list, &attribute) == nullptr ||
      dwarf_formudata(&attribute, &offset) != 0) {
    return std::nullopt;
  }
  return LineHeader::Parse(sections, offset);
}

ScopeTable BuildScopes(DwarfFile& file, Dwarf_Die unit_die, uint64_t unit_end) {
  auto unit = Describe(file, unit_die, unit_end);
  if (!unit && file.alternate() != nullptr) {
    unit = Describe(*file.alternate(), unit_die, unit_end);
  }
  return unit ? UnitWalk(file, *unit, true).Run().scopes : ScopeTable();
}

UnitIndex BuildUnitIndex(DwarfFile& file, Dwarf_Die unit_die, uint64_t unit_end,
                         const SplitUnit* split) {
  UnitIndex index;
  std::optional<WalkedUnit> unit;
  if (split == nullptr) {
    unit = Describe(file, unit_die, unit_end);
  } else {
    unit.emplace(WalkedUnit{.file = &split->file(),
                            .unit_die = split->unit_die(),
                            .end = split->end_offset(),
                            .format = split->format(),
                            .ranges = split->ranges(),
                            .is_split = true});
  }
  if (unit) {
    bool has_scopes = IsCplusplus(&unit->unit_die);
    index = UnitWalk(file, *unit, has_scopes).Run();
  }
  if (auto header = UnitLineHeader(file.line_sections(), &unit_die)) {
    uint64_t budget = kMaxRangesRead;
    RangeMap unit_ranges(CodeRanges(file, &unit_die, budget));
    index.lines = LineTable(*header, [&](uint64_t address) {
      return unit_ranges.empty() ? index.ranges.Find(address).has_value()
                                 : unit_ranges.Find(address).has_value();
    });
  }
  return index;
}

}  // namespace pprofd
