#include "symbolizer/split_unit.h"

#include <dwarf.h>

#include <cstring>
#include <string_view>

#include "symbolizer/byte_reader.h"
#include "symbolizer/die_reference.h"

namespace pprofd {
namespace {

constexpr size_t kMaxPathBytes = 4096;
constexpr uint64_t kAddressBytes = 8;

std::string PathOf(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  if (dwarf_attr(die, name, &attribute) == nullptr) return "";
  const char* text = dwarf_formstring(&attribute);
  return text == nullptr ? "" : std::string(text, strnlen(text, kMaxPathBytes));
}

std::span<const uint8_t> From(std::span<const uint8_t> bytes, uint64_t offset) {
  return offset <= bytes.size() ? bytes.subspan(offset)
                                : std::span<const uint8_t>();
}

}  // namespace

std::optional<Skeleton> ReadSkeleton(Dwarf_Die unit_die) {
  Skeleton skeleton;
  Dwarf_Half version = 0;
  uint8_t unit_type = 0;
  uint8_t offset_size = 4;
  Dwarf_Attribute attribute;
  // Not asked for the split unit, which libdw would open by path.
  if (dwarf_cu_info(unit_die.cu, &version, &unit_type, nullptr, nullptr,
                    &skeleton.id, nullptr, &offset_size) != 0) {
    return std::nullopt;
  }
  if (version >= 5) {
    if (unit_type != DW_UT_skeleton) return std::nullopt;
    skeleton.name = PathOf(&unit_die, DW_AT_dwo_name);
    skeleton.address_table =
        SectionOffset(&unit_die, DW_AT_addr_base, offset_size).value_or(0);
  } else {
    Dwarf_Word id = 0;
    if (dwarf_attr(&unit_die, DW_AT_GNU_dwo_id, &attribute) == nullptr ||
        dwarf_formudata(&attribute, &id) != 0) {
      return std::nullopt;
    }
    skeleton.id = id;
    skeleton.name = PathOf(&unit_die, DW_AT_GNU_dwo_name);
    skeleton.address_table =
        SectionOffset(&unit_die, DW_AT_GNU_addr_base, offset_size).value_or(0);
    skeleton.range_lists =
        SectionOffset(&unit_die, DW_AT_GNU_ranges_base, offset_size)
            .value_or(0);
  }
  skeleton.folder = PathOf(&unit_die, DW_AT_comp_dir);
  Dwarf_Addr base = 0;
  if (dwarf_lowpc(&unit_die, &base) == 0) skeleton.base = base;
  if (skeleton.name.empty()) return std::nullopt;
  return skeleton;
}

std::optional<SplitUnit> SplitUnit::Open(DwarfFile& main,
                                         const Skeleton& skeleton,
                                         DwarfFile& split, Dwarf_Die unit_die) {
  SplitUnit unit;
  uint8_t address_size = 0;
  if (dwarf_cu_info(unit_die.cu, &unit.format_.version, nullptr, nullptr,
                    nullptr, nullptr, &address_size,
                    &unit.format_.offset_size) != 0 ||
      address_size != kAddressBytes) {
    return std::nullopt;
  }
  unit.file_ = &split;
  unit.unit_die_ = unit_die;
  unit.end_offset_ = UnitEnd(&unit_die);
  if (unit.end_offset_ == 0) return std::nullopt;
  UnitRanges::Sections sections;
  sections.base = skeleton.base;
  sections.addresses =
      From(main.die_sections().addresses, skeleton.address_table);
  if (unit.format_.version < 5) {
    sections.lists = From(main.die_sections().ranges, skeleton.range_lists);
  } else {
    Dwarf_Off start = 0;  // of this unit's part in a package
    if (dwarf_cu_dwp_section_info(unit_die.cu, DW_SECT_RNGLISTS, &start,
                                  nullptr) != 0) {
      start = 0;
    }
    sections.lists = From(split.die_sections().range_lists, start);
    sections.list_table = RangeListHeaderBytes(unit.format_);
  }
  unit.ranges_ = UnitRanges(unit.format_, sections);
  return unit;
}

}  // namespace pprofd
