#include "symbolizer/dwarf_names.h"

#include <dwarf.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "symbolizer/demangle.h"
#include "symbolizer/die_reference.h"
#include "symbolizer/narrow.h"

namespace pprofd {
namespace {

constexpr size_t kMaxNameBytes = 16 << 10;
constexpr std::string_view kUnnamedType = "{unnamed type}";
constexpr int kMaxScopeDepth = 8;  // functions inside of functions

// Text of an attribute, of the DIE or of those it refers to; "" if absent.
std::string_view TextOf(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  if (!FindAttribute(*die, name, &attribute)) return {};
  const char* text = dwarf_formstring(&attribute);
  if (text == nullptr) return {};
  return {text, strnlen(text, kMaxNameBytes)};
}

uint64_t NumberOf(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (!FindAttribute(*die, name, &attribute) ||
      dwarf_formudata(&attribute, &value) != 0) {
    return 0;
  }
  return value;
}

// The DIE at the end of the chain of references: what was declared first.
Dwarf_Die FirstDeclaration(Dwarf_Die die) {
  for (int i = 0; i < kMaxReferences && FollowOrigin(&die); ++i) {
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

DieSpace SpaceOf(const UnitReading& unit, Dwarf* dwarf) {
  if (dwarf == unit.file.dwarf()) return kOwnDies;
  return dwarf == unit.dwarf ? unit.space : kAlternateDies;
}

// nullptr: that file is missing.
Dwarf* DwarfOf(const UnitReading& unit, DieSpace space) {
  if (space != kAlternateDies) return unit.dwarf;
  DwarfFile* alternate = unit.file.alternate();
  return alternate != nullptr ? alternate->dwarf() : nullptr;
}

}  // namespace

const Declaration& DwarfNames::Declare(const UnitReading& unit, DieRef ref) {
  DieSpace space = ref.is_alternate ? kAlternateDies : unit.space;
  auto [it, is_new] = declarations_.try_emplace({space, ref.offset});
  Declaration& declaration = it->second;
  if (!is_new) return declaration;
  Dwarf* dwarf = DwarfOf(unit, space);
  Dwarf_Die die;
  if (dwarf == nullptr || dwarf_offdie(dwarf, ref.offset, &die) == nullptr) {
    return declaration;
  }
  std::string_view linkage_name = TextOf(&die, DW_AT_linkage_name);
  if (linkage_name.empty()) {
    linkage_name = TextOf(&die, DW_AT_MIPS_linkage_name);
  }
  if (moved_scopes_.size() >= kMaxMovedScopes) {
    moved_scopes_.clear();
    moved_scope_bytes_ = 0;
  }
  StringPool& strings = unit.pool.strings();
  declaration.linkage_name = strings.Add(linkage_name);
  bool has_own_scopes =
      !linkage_name.empty() && !ResistsDemangling(std::string(linkage_name));
  declaration.name =
      strings.Add(has_own_scopes ? std::string(TextOf(&die, DW_AT_name))
                                 : NameOf(unit, &die, 0));
  declaration.line = Narrow<uint32_t>(NumberOf(&die, DW_AT_decl_line));
  declaration.file = DeclaredFile(unit, &die);
  return declaration;
}

// The name of a function without linkage name, with the scopes around its first
// declaration where those are known.
std::string DwarfNames::NameOf(const UnitReading& unit, Dwarf_Die* die,
                               int depth) {
  std::string name(TextOf(die, DW_AT_name));
  Dwarf_Die first = FirstDeclaration(*die);
  Dwarf_Die unit_die;
  if (name.empty() || depth >= kMaxScopeDepth ||
      !UnitDieOf(first.cu, &unit_die)) {
    return name;
  }
  DieSpace space = SpaceOf(unit, dwarf_cu_getdwarf(first.cu));
  const ScopeTable* scopes = ScopesOf(unit, space, unit_die);
  if (scopes == nullptr) return name;
  uint32_t scope = scopes->FindAround(static_cast<uint32_t>(
      dwarf_dieoffset(&first) - dwarf_dieoffset(&unit_die)));
  if (scope == Scope::kNone) return name;
  std::string around = ScopeName(unit, *scopes, unit_die, scope, depth + 1);
  bool is_closure = name.starts_with("operator()") || name.find("<lambda") < 2;
  if (is_closure && around.ends_with(kUnnamedType)) {
    around.replace(around.size() - kUnnamedType.size(), std::string::npos,
                   "{lambda}");
  }
  return around + "::" + name;
}

// Scopes of a compilation unit come with its index; those of the partial units
// that dwz makes are read here.
const ScopeTable* DwarfNames::ScopesOf(const UnitReading& unit, DieSpace space,
                                       Dwarf_Die unit_die) {
  uint64_t offset = dwarf_dieoffset(&unit_die);
  if (dwarf_tag(&unit_die) != DW_TAG_partial_unit) {
    return find_scopes_(space, offset);
  }
  auto known = moved_scopes_.find({space, offset});
  if (known != moved_scopes_.end()) return &known->second;
  uint64_t end = UnitEnd(&unit_die);
  if (end == 0) return nullptr;
  ScopeTable scopes = BuildScopes(unit.file, unit_die, end);
  moved_scope_bytes_ += scopes.bytes();
  return &moved_scopes_.emplace(DieKey(space, offset), std::move(scopes))
              .first->second;
}

std::string DwarfNames::ScopeName(const UnitReading& unit,
                                  const ScopeTable& scopes, Dwarf_Die unit_die,
                                  uint32_t scope, int depth) {
  Dwarf* dwarf = dwarf_cu_getdwarf(unit_die.cu);
  DieSpace space = SpaceOf(unit, dwarf);
  std::vector<uint32_t> path;  // innermost first
  for (; scope != Scope::kNone; scope = scopes.scope(scope).parent) {
    path.push_back(scope);
  }
  StringPool& strings = unit.pool.strings();
  std::string name;
  for (auto it = path.rbegin(); it != path.rend(); ++it) {
    uint64_t offset = dwarf_dieoffset(&unit_die) + scopes.scope(*it).start;
    auto known = scope_names_.find({space, offset});
    if (known == scope_names_.end()) {
      std::string whole = ExtendScope(unit, dwarf, offset, name, depth);
      known =
          scope_names_.emplace(DieKey(space, offset), strings.Add(whole)).first;
    }
    name = strings.Get(known->second);
  }
  return name;
}

// The name of the scope at `offset`, which is in the scope `outer`. A function
// has a name of its own, whatever is around this copy of it.
std::string DwarfNames::ExtendScope(const UnitReading& unit, Dwarf* dwarf,
                                    uint64_t offset, const std::string& outer,
                                    int depth) {
  Dwarf_Die die;
  if (dwarf_offdie(dwarf, offset, &die) == nullptr) return outer;
  if (dwarf_tag(&die) == DW_TAG_subprogram) {
    std::string linkage_name(TextOf(&die, DW_AT_linkage_name));
    bool is_readable =
        !linkage_name.empty() && !ResistsDemangling(linkage_name);
    return is_readable ? Demangle(linkage_name, DemangleStyle::kShort)
                       : NameOf(unit, &die, depth);
  }
  std::string part = ScopePart(&die);
  bool is_first = outer.empty() || outer.size() > kMaxNameBytes;
  return is_first ? part : outer + "::" + part;
}

// File numbers are those of the unit that the attribute was found in; those of
// a split unit are its skeleton's.
uint32_t DwarfNames::DeclaredFile(const UnitReading& unit, Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  Dwarf_Word number = 0;
  Dwarf_Die unit_die;
  if (!FindAttribute(*die, DW_AT_decl_file, &attribute) ||
      dwarf_formudata(&attribute, &number) != 0 ||
      !UnitDieOf(attribute.cu, &unit_die)) {
    return 0;
  }
  if (SpaceOf(unit, dwarf_cu_getdwarf(attribute.cu)) < kFirstSplitDies) {
    return FileOf(unit, unit_die, number);
  }
  bool has_own_table = dwarf_tag(&unit_die) == DW_TAG_type_unit;
  return has_own_table ? 0 : FileOf(unit, unit.unit_die, number);
}

uint32_t DwarfNames::FileOf(const UnitReading& unit, Dwarf_Die unit_die,
                            uint64_t number) {
  DieSpace space = SpaceOf(unit, dwarf_cu_getdwarf(unit_die.cu));
  DieKey key(space, dwarf_dieoffset(&unit_die));
  auto [it, is_new] = files_.try_emplace({key, number}, 0);
  if (!is_new) return it->second;
  auto known = headers_.find(key);
  if (known == headers_.end()) {
    if (headers_.size() >= kMaxHeaders) headers_.clear();
    DwarfFile* alternate = unit.file.alternate();
    bool is_alternate = space == kAlternateDies && alternate != nullptr;
    UnitFiles files;
    if (auto header = UnitLineHeader(is_alternate ? alternate->line_sections()
                                                  : unit.file.line_sections(),
                                     &unit_die)) {
      files.header = std::move(*header);
    }
    files.folder = TextOf(&unit_die, DW_AT_comp_dir);
    known = headers_.emplace(key, std::move(files)).first;
  }
  const UnitFiles& files = known->second;
  it->second = unit.pool.strings().Add(files.header.Path(number, files.folder));
  return it->second;
}

size_t DwarfNames::bytes() const {
  constexpr size_t kHashSlot = 2 * sizeof(void*);
  return declarations_.size() * (sizeof(Declaration) + kHashSlot) +
         files_.size() * (sizeof(uint64_t) * 4) +
         scope_names_.size() * (sizeof(uint64_t) * 3) +
         moved_scopes_.size() * (sizeof(ScopeTable) + kHashSlot) +
         moved_scope_bytes_;
}

}  // namespace pprofd
