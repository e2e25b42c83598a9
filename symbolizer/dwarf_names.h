// DwarfNames: functions and source files by name, from DIEs.
//
// Names are read when first hit and kept. Copies and parts of a function
// (.isra, .cold) are named like their origin. A function without linkage name,
// or with one that cannot be read, gets the scopes around its first
// declaration, wherever dwz has moved that. Owns: what was read. Borrows: the
// files and the pool of each call, which must
//   be of the same module, and the same pool, every time.
// Thread: one owner at a time.
// Bound: kMaxHeaders line headers, kMaxMovedScopes tables; the rest grows with
//   the addresses asked for, see bytes().
#ifndef SYMBOLIZER_DWARF_NAMES_H_
#define SYMBOLIZER_DWARF_NAMES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "symbolizer/dwarf_file.h"
#include "symbolizer/dwarf_unit.h"
#include "symbolizer/symbol_pool.h"

namespace pprofd {

// Names one function, read from its DIE and those it refers to.
struct Declaration {
  uint32_t name = 0;
  uint32_t linkage_name = 0;
  uint32_t file = 0;
  uint32_t line = 0;

  bool is_nameless() const { return name == 0 && linkage_name == 0; }
};

// What offsets of DIEs count in.
using DieSpace = uint32_t;
inline constexpr DieSpace kOwnDies = 0;
inline constexpr DieSpace kAlternateDies = 1;
inline constexpr DieSpace kFirstSplitDies = 2;  // one for each split unit

// The unit that names are asked for.
struct UnitReading {
  DwarfFile& file;
  SymbolPool& pool;
  Dwarf_Die unit_die;  // in `file`; a skeleton when the DIEs are elsewhere
  Dwarf* dwarf;        // with the unit's DIEs
  DieSpace space = kOwnDies;
};

class DwarfNames {
 public:
  // The scopes of the compilation unit whose DIE is at an offset of a space;
  // nullptr when they are not known now.
  using FindScopes =
      std::function<const ScopeTable*(DieSpace space, uint64_t unit_die)>;
  explicit DwarfNames(FindScopes find_scopes)
      : find_scopes_(std::move(find_scopes)) {}

  const Declaration& Declare(const UnitReading& unit, DieRef ref);
  // Of the unit's line table.
  uint32_t FileOf(const UnitReading& unit, uint64_t number) {
    return FileOf(unit, unit.unit_die, number);
  }

  // Drops views into the files.
  void DropViews() { headers_.clear(); }
  size_t bytes() const;

 private:
  static constexpr size_t kMaxHeaders = 64;
  static constexpr size_t kMaxMovedScopes = 256;

  using DieKey = std::pair<DieSpace, uint64_t>;
  struct UnitFiles {
    LineHeader header;
    std::string folder;  // DW_AT_comp_dir
  };

  std::string NameOf(const UnitReading& unit, Dwarf_Die* die, int depth);
  const ScopeTable* ScopesOf(const UnitReading& unit, DieSpace space,
                             Dwarf_Die unit_die);
  std::string ScopeName(const UnitReading& unit, const ScopeTable& scopes,
                        Dwarf_Die unit_die, uint32_t scope, int depth);
  std::string ExtendScope(const UnitReading& unit, Dwarf* dwarf,
                          uint64_t offset, const std::string& outer, int depth);
  uint32_t DeclaredFile(const UnitReading& unit, Dwarf_Die* die);
  uint32_t FileOf(const UnitReading& unit, Dwarf_Die unit_die, uint64_t number);

  const FindScopes find_scopes_;
  // Nodes: references stay valid.
  absl::node_hash_map<DieKey, Declaration> declarations_;
  absl::flat_hash_map<DieKey, uint32_t> scope_names_;
  absl::flat_hash_map<std::pair<DieKey, uint64_t>, uint32_t> files_;
  absl::node_hash_map<DieKey, UnitFiles> headers_;
  absl::node_hash_map<DieKey, ScopeTable> moved_scopes_;  // of partial units
  size_t moved_scope_bytes_ = 0;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_DWARF_NAMES_H_
