#include "symbolizer/dwarf_index.h"

#include <dwarf.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "symbolizer/demangle.h"

namespace pprofd {
namespace {

constexpr size_t kMaxNameBytes = 64 << 10;
constexpr size_t kMaxHeaders = 64;
constexpr std::string_view kUnnamedType = "{unnamed type}";
constexpr int kMaxScopeDepth = 8;  // functions inside of functions
// libdw keeps abbreviations of each unit it has seen, some 30 KB each.
constexpr size_t kUnitsBetweenRestarts = 128;

// Text of an attribute, of the DIE or of those it refers to; "" if absent.
std::string_view TextOf(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  if (dwarf_attr_integrate(die, name, &attribute) == nullptr) return {};
  const char* text = dwarf_formstring(&attribute);
  if (text == nullptr) return {};
  return {text, strnlen(text, kMaxNameBytes)};
}

uint64_t NumberOf(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (dwarf_attr_integrate(die, name, &attribute) == nullptr ||
      dwarf_formudata(&attribute, &value) != 0) {
    return 0;
  }
  return value;
}

// The DIE at the end of the chain of references: what was declared first.
Dwarf_Die FirstDeclaration(Dwarf_Die die) {
  constexpr int kMaxReferences = 16;
  for (int i = 0; i < kMaxReferences; ++i) {
    Dwarf_Attribute attribute;
    Dwarf_Die next;
    if ((dwarf_attr(&die, DW_AT_abstract_origin, &attribute) == nullptr &&
         dwarf_attr(&die, DW_AT_specification, &attribute) == nullptr) ||
        dwarf_formref_die(&attribute, &next) == nullptr) {
      break;
    }
    die = next;
  }
  return die;
}

// Name of a namespace or type.
std::string ScopePart(Dwarf_Die* die) {
  std::string name(TextOf(die, DW_AT_name));
  if (!name.empty()) return name;
  return dwarf_tag(die) == DW_TAG_namespace ? "(anonymous namespace)"
                                            : std::string(kUnnamedType);
}

uint32_t Narrow(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX));
}

}  // namespace

DwarfIndex::DwarfIndex(DwarfFile& file) { ListUnits(file); }

void DwarfIndex::ListUnits(DwarfFile& file) {
  std::vector<RangeMap::Range> ranges;
  Dwarf_Off offset = 0;
  Dwarf_Off next = 0;
  size_t header_size = 0;
  while (units_.size() < kMaxUnits &&
         dwarf_nextcu(file.dwarf(), offset, &next, &header_size, nullptr,
                      nullptr, nullptr) == 0) {
    Dwarf_Die die;
    Dwarf_Off die_offset = offset + header_size;
    offset = next;
    if (dwarf_offdie(file.dwarf(), die_offset, &die) == nullptr ||
        dwarf_tag(&die) != DW_TAG_compile_unit) {
      continue;
    }
    auto number = static_cast<uint32_t>(units_.size());
    std::vector<RangeMap::Range> unit_ranges = CodeRanges(file, &die);
    if (unit_ranges.empty() && dwarf_haschildren(&die) != 1) continue;
    units_.push_back({.die_offset = die_offset, .end_offset = next});
    if (unit_ranges.empty()) unranged_.push_back(number);
    for (RangeMap::Range& range : unit_ranges) {
      range.value = number;
      ranges.push_back(range);
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
  while (unranged_indexed_ < unranged_.size()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    uint32_t number = unranged_[unranged_indexed_++];
    UnitIndex& index = IndexOf(file, units_[number]);
    if (index.ranges.empty()) {
      unit_bytes_ -= index.bytes();
      units_[number].index.reset();
      continue;
    }
    for (RangeMap::Range range : index.ranges.Segments()) {
      range.value = number;
      late_ranges_list_.push_back(range);
    }
  }
  late_ranges_ = RangeMap(std::exchange(late_ranges_list_, {}));
  return true;
}

UnitIndex& DwarfIndex::IndexOf(DwarfFile& file, Unit& unit) {
  unit.last_used = ++uses_;
  if (unit.index != nullptr) return *unit.index;
  unit.index = std::make_unique<UnitIndex>();
  if (++indexed_since_restart_ >= kUnitsBetweenRestarts) {
    indexed_since_restart_ = 0;
    headers_.clear();
    if (!file.Restart().ok()) return *unit.index;
  }
  Dwarf_Die die;
  if (dwarf_offdie(file.dwarf(), unit.die_offset, &die) != nullptr) {
    *unit.index = BuildUnitIndex(file, die, unit.end_offset);
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
  uint32_t line = 0;
  uint32_t column = 0;
  uint32_t path = 0;
  if (row != nullptr) {
    line = row->line;
    column = row->column;
    path = FileOf(file, pool, unit_die, row->file);
  }
  if (!innermost) {
    lines.push_back(MakeLine({}, path, line, column));
    return Answer::kLineOnly;
  }
  for (uint32_t i = *innermost; i != Call::kNone; i = index.calls[i].parent) {
    const Call& call = index.calls[i];
    const Declaration& declaration = Declare(file, pool, call.named_by);
    lines.push_back(MakeLine(declaration, path, line, column));
    line = call.call_line;
    column = call.call_column;
    path = FileOf(file, pool, unit_die, call.call_file);
  }
  return Answer::kFunction;
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

const DwarfIndex::Declaration& DwarfIndex::Declare(DwarfFile& file,
                                                   SymbolPool& pool,
                                                   DieRef ref) {
  auto [it, is_new] =
      declarations_.try_emplace(ref.offset * 2 + (ref.is_alternate ? 1 : 0));
  Declaration& declaration = it->second;
  if (!is_new) return declaration;
  Dwarf* dwarf = ref.is_alternate ? dwarf_getalt(file.dwarf()) : file.dwarf();
  Dwarf_Die die;
  if (dwarf == nullptr || dwarf_offdie(dwarf, ref.offset, &die) == nullptr) {
    return declaration;
  }
  std::string_view linkage_name = TextOf(&die, DW_AT_linkage_name);
  if (linkage_name.empty()) {
    linkage_name = TextOf(&die, DW_AT_MIPS_linkage_name);
  }
  declaration.linkage_name = pool.strings().Add(linkage_name);
  declaration.name = pool.strings().Add(
      linkage_name.empty() ? NameOf(file, pool, &die, 0)
                           : std::string(TextOf(&die, DW_AT_name)));
  declaration.line = Narrow(NumberOf(&die, DW_AT_decl_line));
  declaration.file = DeclaredFile(file, pool, &die);
  return declaration;
}

// The name of a function without linkage name, with the scopes around its first
// declaration where those are known.
std::string DwarfIndex::NameOf(DwarfFile& file, SymbolPool& pool,
                               Dwarf_Die* die, int depth) {
  std::string name(TextOf(die, DW_AT_name));
  Dwarf_Die first = FirstDeclaration(*die);
  if (name.empty() || dwarf_cu_getdwarf(first.cu) != file.dwarf()) return name;
  uint64_t offset = dwarf_dieoffset(&first);
  auto after = std::upper_bound(
      units_.begin(), units_.end(), offset,
      [](uint64_t value, const Unit& u) { return value < u.die_offset; });
  if (after == units_.begin()) return name;
  const Unit& unit = *(after - 1);
  if (unit.index == nullptr || offset >= unit.end_offset) return name;
  uint32_t scope = unit.index->scopes.FindAround(
      static_cast<uint32_t>(offset - unit.die_offset));
  if (scope == Scope::kNone || depth >= kMaxScopeDepth) return name;
  std::string around = ScopeName(file, pool, unit, scope, depth + 1);
  bool is_closure = name.starts_with("operator()") || name.find("<lambda") < 2;
  if (is_closure && around.ends_with(kUnnamedType)) {
    around.replace(around.size() - kUnnamedType.size(), std::string::npos,
                   "{lambda}");
  }
  return around + "::" + name;
}

std::string DwarfIndex::ScopeName(DwarfFile& file, SymbolPool& pool,
                                  const Unit& unit, uint32_t scope, int depth) {
  const ScopeTable& scopes = unit.index->scopes;
  std::vector<uint32_t> path;  // innermost first
  for (; scope != Scope::kNone; scope = scopes.scope(scope).parent) {
    path.push_back(scope);
  }
  std::string name;
  for (auto it = path.rbegin(); it != path.rend(); ++it) {
    uint64_t offset = unit.die_offset + scopes.scope(*it).start;
    auto known = scope_names_.find(offset);
    if (known == scope_names_.end()) {
      std::string whole = ExtendScope(file, pool, offset, name, depth);
      known = scope_names_.emplace(offset, pool.strings().Add(whole)).first;
    }
    name = pool.strings().Get(known->second);
  }
  return name;
}

// The name of the scope at `offset`, which is in the scope `outer`. A function
// has a name of its own, whatever is around this copy of it.
std::string DwarfIndex::ExtendScope(DwarfFile& file, SymbolPool& pool,
                                    uint64_t offset, const std::string& outer,
                                    int depth) {
  Dwarf_Die die;
  if (dwarf_offdie(file.dwarf(), offset, &die) == nullptr) return outer;
  if (dwarf_tag(&die) == DW_TAG_subprogram) {
    std::string linkage_name(TextOf(&die, DW_AT_linkage_name));
    return linkage_name.empty() ? NameOf(file, pool, &die, depth)
                                : Demangle(linkage_name, DemangleStyle::kShort);
  }
  std::string part = ScopePart(&die);
  bool is_first = outer.empty() || outer.size() > kMaxNameBytes;
  return is_first ? part : outer + "::" + part;
}

// File numbers are those of the unit that the attribute was found in.
uint32_t DwarfIndex::DeclaredFile(DwarfFile& file, SymbolPool& pool,
                                  Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  Dwarf_Word number = 0;
  Dwarf_Die unit_die;
  if (dwarf_attr_integrate(die, DW_AT_decl_file, &attribute) == nullptr ||
      dwarf_formudata(&attribute, &number) != 0 ||
      dwarf_cu_die(attribute.cu, &unit_die, nullptr, nullptr, nullptr, nullptr,
                   nullptr, nullptr) == nullptr) {
    return 0;
  }
  return FileOf(file, pool, unit_die, number);
}

uint32_t DwarfIndex::FileOf(DwarfFile& file, SymbolPool& pool,
                            Dwarf_Die unit_die, uint64_t number) {
  Dwarf* dwarf = dwarf_cu_getdwarf(unit_die.cu);
  bool is_alternate = dwarf != file.dwarf();
  uint64_t unit = dwarf_dieoffset(&unit_die) * 2 + (is_alternate ? 1 : 0);
  auto [it, is_new] = files_.try_emplace({unit, number}, 0);
  if (!is_new) return it->second;
  auto known = headers_.find(unit);
  if (known == headers_.end()) {
    if (headers_.size() >= kMaxHeaders) headers_.clear();
    UnitFiles files;
    LineSections sections =
        is_alternate ? FindLineSections(dwarf) : file.line_sections();
    if (auto header = UnitLineHeader(sections, &unit_die)) {
      files.header = std::move(*header);
    }
    files.folder = TextOf(&unit_die, DW_AT_comp_dir);
    known = headers_.emplace(unit, std::move(files)).first;
  }
  const UnitFiles& files = known->second;
  it->second = pool.strings().Add(files.header.Path(number, files.folder));
  return it->second;
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
  constexpr size_t kHashSlot = 2 * sizeof(void*);
  return unit_bytes_ + ranges_.bytes() + late_ranges_.bytes() +
         units_.capacity() * sizeof(Unit) +
         declarations_.size() * (sizeof(Declaration) + kHashSlot) +
         files_.size() * (sizeof(uint64_t) * 3) +
         scope_names_.size() * (sizeof(uint64_t) * 2);
}

}  // namespace pprofd
