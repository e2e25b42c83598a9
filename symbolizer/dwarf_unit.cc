#include "symbolizer/dwarf_unit.h"

#include <dwarf.h>

#include <algorithm>

#include "symbolizer/die_reference.h"

namespace pprofd {
namespace {

constexpr size_t kMaxRangesOfDie = 1 << 16;

// May DIEs of this kind hold code below them?
bool MayHoldCode(int tag) {
  switch (tag) {
    case DW_TAG_subprogram:
    case DW_TAG_inlined_subroutine:
    case DW_TAG_lexical_block:
    case DW_TAG_try_block:
    case DW_TAG_catch_block:
    case DW_TAG_with_stmt:
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_interface_type:
      return true;
    default:
      return false;
  }
}

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

// Attributes of a function or call, gathered in one pass.
struct CallAttributes {
  bool has_ranges = false;
  bool has_origin = false;
  Dwarf_Attribute origin{};
  Dwarf_Word call_file = 0;
  Dwarf_Word call_line = 0;
  Dwarf_Word call_column = 0;
};

int GatherAttribute(Dwarf_Attribute* attribute, void* context) {
  auto* found = static_cast<CallAttributes*>(context);
  switch (dwarf_whatattr(attribute)) {
    case DW_AT_low_pc:
    case DW_AT_ranges:
      found->has_ranges = true;
      break;
    case DW_AT_abstract_origin:
      found->has_origin = true;
      found->origin = *attribute;
      break;
    case DW_AT_call_file:
      dwarf_formudata(attribute, &found->call_file);
      break;
    case DW_AT_call_line:
      dwarf_formudata(attribute, &found->call_line);
      break;
    case DW_AT_call_column:
      dwarf_formudata(attribute, &found->call_column);
      break;
  }
  return DWARF_CB_OK;
}

uint16_t Narrow(Dwarf_Word value) {
  return static_cast<uint16_t>(std::min<Dwarf_Word>(value, UINT16_MAX));
}

// The parts of `ranges` that are in the code of the file.
std::vector<RangeMap::Range> InCode(const DwarfFile& file,
                                    std::vector<RangeMap::Range> ranges) {
  std::erase_if(ranges, [&](RangeMap::Range& range) {
    range.end = std::min(range.end, file.code_end());
    return range.start < file.code_start() || range.start >= file.code_end();
  });
  return ranges;
}

class UnitWalk {
 public:
  UnitWalk(DwarfFile& file, Dwarf_Die unit_die, uint64_t unit_end,
           bool has_scopes, const SplitUnit* split = nullptr)
      : file_(file),
        split_(split),
        unit_die_(unit_die),
        unit_end_(static_cast<const uint8_t*>(unit_die.addr) +
                  (unit_end - dwarf_dieoffset(&unit_die))),
        has_scopes_(has_scopes) {}

  UnitIndex Run() {
    Dwarf_Die die;
    if (dwarf_child(&unit_die_, &die) == 0) Walk(die);
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

  // Visits `die` and all that follows it, without recursion.
  void Walk(Dwarf_Die die) {
    levels_.assign(1, Level());
    for (size_t count = 0;; ++count) {
      if (count >= UnitIndex::kMaxDies ||
          ranges_.size() >= UnitIndex::kMaxRanges) {
        index_.is_cut = true;
        return;
      }
      int tag = dwarf_tag(&die);
      uint32_t call = Visit(&die, tag);
      Dwarf_Die next{};
      if (levels_.size() < UnitIndex::kMaxDepth && MayHoldCode(tag) &&
          dwarf_haschildren(&die) == 1) {
        int result = dwarf_child(&die, &next);
        if (result < 0) return;
        if (result == 0) {
          Enter(die, tag, call);
          die = next;
          continue;
        }
        next = {};
      }
      int result = dwarf_siblingof(&die, &next);
      if (result < 0) return;
      if (result > 0 && !Leave(die, &next)) return;
      die = next;
    }
  }

  uint32_t OffsetOf(const void* position) const {
    return static_cast<uint32_t>(static_cast<const uint8_t*>(position) -
                                 static_cast<const uint8_t*>(unit_die_.addr));
  }

  void Enter(const Dwarf_Die& parent, int tag, uint32_t call) {
    Level level{.call = call,
                .start = OffsetOf(parent.addr),
                .is_function = tag == DW_TAG_subprogram};
    if (has_scopes_ && IsNamedScope(tag)) {
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

  // At the end of a list of siblings libdw leaves the address of the closing
  // NUL in `next`. The DIE after it is the parent's sibling; finding that from
  // the parent would walk its children again, once for each level.
  bool Leave(const Dwarf_Die& last, Dwarf_Die* next) {
    auto* position = static_cast<const uint8_t*>(next->addr);
    if (position == nullptr || position <= last.addr) return false;
    do {
      if (levels_.back().scope != Scope::kNone) {
        index_.scopes.Close(levels_.back().scope, OffsetOf(position));
      }
      levels_.pop_back();
      if (levels_.empty() || ++position >= unit_end_) return false;
    } while (*position == 0);
    *next = {};
    next->addr = const_cast<uint8_t*>(position);
    next->cu = last.cu;
    return true;
  }

  // The innermost call for the children of `die`.
  uint32_t Visit(Dwarf_Die* die, int tag) {
    uint32_t around = levels_.back().call;
    bool is_function = tag == DW_TAG_subprogram;
    if (!is_function && tag != DW_TAG_inlined_subroutine) return around;
    CallAttributes attributes;
    dwarf_getattrs(die, GatherAttribute, &attributes, 0);
    if (!attributes.has_ranges) return is_function ? Call::kNone : around;
    auto number = static_cast<uint32_t>(index_.calls.size());
    size_t ranges_before = ranges_.size();
    for (RangeMap::Range range : RangesOf(die)) {
      range.priority = static_cast<uint32_t>(levels_.size());
      range.value = number;
      ranges_.push_back(range);
    }
    if (ranges_.size() == ranges_before) return around;
    index_.calls.push_back(
        {.named_by = NamedBy(die, is_function, attributes),
         .parent = is_function ? Call::kNone : around,
         .call_line = static_cast<uint32_t>(
             std::min<Dwarf_Word>(attributes.call_line, UINT32_MAX)),
         .call_file = Narrow(attributes.call_file),
         .call_column = Narrow(attributes.call_column)});
    return number;
  }

  std::vector<RangeMap::Range> RangesOf(Dwarf_Die* die) {
    return split_ != nullptr ? InCode(file_, split_->RangesOf(die))
                             : CodeRanges(file_, die);
  }

  // Inlined calls share the names of their abstract origin.
  DieRef NamedBy(Dwarf_Die* die, bool is_function, CallAttributes& attributes) {
    Dwarf_Die origin;
    if (!is_function && attributes.has_origin &&
        FollowReference(&attributes.origin, &origin)) {
      return {.offset = dwarf_dieoffset(&origin),
              .is_alternate = dwarf_cu_getdwarf(origin.cu) !=
                              dwarf_cu_getdwarf(unit_die_.cu)};
    }
    return {.offset = dwarf_dieoffset(die)};
  }

  DwarfFile& file_;
  const SplitUnit* const split_;
  Dwarf_Die unit_die_;
  const void* unit_end_;
  const bool has_scopes_;
  std::vector<Level> levels_;  // never empty during the walk
  std::vector<RangeMap::Range> ranges_;
  UnitIndex index_;
};

}  // namespace

std::vector<RangeMap::Range> CodeRanges(DwarfFile& file, Dwarf_Die* die) {
  std::vector<RangeMap::Range> ranges;
  Dwarf_Addr base = 0;
  Dwarf_Addr start = 0;
  Dwarf_Addr end = 0;
  ptrdiff_t offset = 0;
  while ((offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0) {
    if (start < file.code_start() || start >= file.code_end()) continue;
    if (ranges.size() >= kMaxRangesOfDie) break;
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
  return UnitWalk(file, unit_die, unit_end, true).Run().scopes;
}

UnitIndex BuildUnitIndex(DwarfFile& file, Dwarf_Die unit_die, uint64_t unit_end,
                         const SplitUnit* split) {
  Dwarf_Die walked = split != nullptr ? split->unit_die() : unit_die;
  if (split != nullptr) unit_end = split->end_offset();
  bool has_scopes = IsCplusplus(&walked);
  UnitIndex index = UnitWalk(file, walked, unit_end, has_scopes, split).Run();
  if (auto header = UnitLineHeader(file.line_sections(), &unit_die)) {
    RangeMap unit_ranges(CodeRanges(file, &unit_die));
    index.lines = LineTable(*header, [&](uint64_t address) {
      return unit_ranges.empty() ? index.ranges.Find(address).has_value()
                                 : unit_ranges.Find(address).has_value();
    });
  }
  return index;
}

}  // namespace pprofd
