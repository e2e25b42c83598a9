#include "symbolizer/abbreviation_limits.h"

#include <dwarf.h>

#include "absl/container/flat_hash_set.h"
#include "symbolizer/byte_reader.h"
#include "symbolizer/dwarf_file.h"

namespace pprofd {
namespace {

class TableCheck {
 public:
  explicit TableCheck(std::span<const uint8_t> section)
      : section_(section),
        budget_(section.size() * AbbreviationLimits::kMaxReadings) {}

  bool IsFine(uint64_t offset) {
    if (!known_.insert(offset).second) return true;
    ByteReader reader(section_, offset);
    size_t count = 0;
    while (reader.ok() && reader.Uleb() != 0) {
      reader.Uleb();  // tag
      reader.U8();    // has children
      if (++count > AbbreviationLimits::kMaxOfUnit || !SkipAttributes(reader)) {
        return false;
      }
    }
    if (offset > section_.size()) return true;  // libdw finds none
    uint64_t read = reader.offset() - offset;
    if (read > budget_) return false;
    budget_ -= read;
    return true;
  }

 private:
  static bool SkipAttributes(ByteReader& reader) {
    for (size_t count = 0; reader.ok(); ++count) {
      uint64_t name = reader.Uleb();
      uint64_t form = reader.Uleb();
      if (form == DW_FORM_implicit_const) reader.Sleb();
      if (name == 0 && form == 0) return true;
      if (count >= AbbreviationLimits::kMaxAttributes) return false;
    }
    return true;  // libdw refuses what is cut
  }

  std::span<const uint8_t> section_;
  uint64_t budget_;
  absl::flat_hash_set<uint64_t> known_;
};

// Where the unit's table is; in a package, its part begins elsewhere.
uint64_t TableOf(Dwarf* dwarf, uint64_t die_offset, bool is_type_unit,
                 uint64_t table) {
  Dwarf_Die die;
  Dwarf_Off part = 0;
  Dwarf_Die* found = is_type_unit ? dwarf_offdie_types(dwarf, die_offset, &die)
                                  : dwarf_offdie(dwarf, die_offset, &die);
  bool is_packed =
      found != nullptr &&
      dwarf_cu_dwp_section_info(die.cu, DW_SECT_ABBREV, &part, nullptr) == 0;
  return is_packed ? table + part : table;
}

bool CheckUnits(Dwarf* dwarf, bool are_type_units, TableCheck& check) {
  Dwarf_Off offset = 0;
  Dwarf_Off next = 0;
  size_t header_size = 0;
  Dwarf_Half version = 0;
  Dwarf_Off table = 0;
  uint64_t signature = 0;
  Dwarf_Off type_offset = 0;
  while (dwarf_next_unit(dwarf, offset, &next, &header_size, &version, &table,
                         nullptr, nullptr,
                         are_type_units ? &signature : nullptr,
                         are_type_units ? &type_offset : nullptr) == 0) {
    if (!check.IsFine(
            TableOf(dwarf, offset + header_size, are_type_units, table))) {
      return false;
    }
    offset = next;
  }
  return true;
}

}  // namespace

bool HasFewAbbreviations(Dwarf* dwarf) {
  for (const char* name : {"debug_abbrev", "debug_abbrev.dwo"}) {
    TableCheck check(FindSection(dwarf, name));
    if (!CheckUnits(dwarf, false, check) || !CheckUnits(dwarf, true, check)) {
      return false;
    }
  }
  return true;
}

}  // namespace pprofd
