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

// An offset in another section; 0 if absent.
uint64_t OffsetOf(Dwarf_Die* die, unsigned name, uint8_t offset_size) {
  Dwarf_Attribute attribute;
  if (dwarf_attr(die, name, &attribute) == nullptr) return 0;
  unsigned form = dwarf_whatform(&attribute);
  ByteReader reader(BytesFrom(attribute));
  if (form == DW_FORM_sec_offset) return reader.Unsigned(offset_size);
  if (form == DW_FORM_data4) return reader.U32();
  return form == DW_FORM_data8 ? reader.U64() : 0;
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
    skeleton.address_table = OffsetOf(&unit_die, DW_AT_addr_base, offset_size);
  } else {
    Dwarf_Word id = 0;
    if (dwarf_attr(&unit_die, DW_AT_GNU_dwo_id, &attribute) == nullptr ||
        dwarf_formudata(&attribute, &id) != 0) {
      return std::nullopt;
    }
    skeleton.id = id;
    skeleton.name = PathOf(&unit_die, DW_AT_GNU_dwo_name);
    skeleton.address_table =
        OffsetOf(&unit_die, DW_AT_GNU_addr_base, offset_size);
    skeleton.range_lists =
        OffsetOf(&unit_die, DW_AT_GNU_ranges_base, offset_size);
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
  if (dwarf_cu_info(unit_die.cu, &unit.version_, nullptr, nullptr, nullptr,
                    nullptr, &address_size, &unit.offset_size_) != 0 ||
      address_size != kAddressBytes) {
    return std::nullopt;
  }
  unit.dwarf_ = split.dwarf();
  unit.unit_die_ = unit_die;
  unit.end_offset_ = UnitEnd(&unit_die);
  if (unit.end_offset_ == 0) return std::nullopt;
  unit.base_ = skeleton.base;
  unit.addresses_ =
      From(FindSection(main.dwarf(), "debug_addr"), skeleton.address_table);
  if (unit.version_ < 5) {
    unit.lists_ =
        From(FindSection(main.dwarf(), "debug_ranges"), skeleton.range_lists);
    return unit;
  }
  Dwarf_Off start = 0;  // of this unit's part in a package
  if (dwarf_cu_dwp_section_info(unit_die.cu, DW_SECT_RNGLISTS, &start,
                                nullptr) != 0) {
    start = 0;
  }
  unit.lists_ = From(FindSection(unit.dwarf_, "debug_rnglists.dwo"), start);
  return unit;
}

std::span<const uint8_t> SplitUnit::ValueOf(
    const Dwarf_Attribute& attribute) const {
  auto* start = static_cast<const uint8_t*>(unit_die_.addr);
  Dwarf_Die unit_die = unit_die_;
  auto* end = start + (end_offset_ - dwarf_dieoffset(&unit_die));
  if (attribute.valp < start || attribute.valp >= end) return {};
  return {attribute.valp, end};
}

std::optional<uint64_t> SplitUnit::AddressAt(uint64_t index) const {
  if (index >= addresses_.size() / kAddressBytes) return std::nullopt;
  return ByteReader(addresses_, index * kAddressBytes).U64();
}

std::optional<uint64_t> SplitUnit::AddressOf(Dwarf_Attribute* attribute) const {
  ByteReader reader(ValueOf(*attribute));
  uint64_t value = 0;
  switch (dwarf_whatform(attribute)) {
    case DW_FORM_addr:
      value = reader.U64();
      return reader.ok() ? std::optional(value) : std::nullopt;
    case DW_FORM_addrx:
    case DW_FORM_GNU_addr_index:
      value = reader.Uleb();
      break;
    case DW_FORM_addrx1:
      value = reader.U8();
      break;
    case DW_FORM_addrx2:
      value = reader.U16();
      break;
    case DW_FORM_addrx3:
      value = reader.U16();
      value |= uint64_t{reader.U8()} << 16;
      break;
    case DW_FORM_addrx4:
      value = reader.U32();
      break;
    default:
      return std::nullopt;
  }
  return reader.ok() ? AddressAt(value) : std::nullopt;
}

std::optional<uint64_t> SplitUnit::ListOf(Dwarf_Attribute* attribute) const {
  ByteReader reader(ValueOf(*attribute));
  unsigned form = dwarf_whatform(attribute);
  if (form == DW_FORM_sec_offset) {
    uint64_t offset = reader.Unsigned(offset_size_);
    return reader.ok() ? std::optional(offset) : std::nullopt;
  }
  if (form != DW_FORM_rnglistx) return std::nullopt;
  uint64_t index = reader.Uleb();
  // Length, version, sizes, count; then as many offsets, from their start.
  uint64_t table = offset_size_ == 8 ? 20 : 12;
  uint64_t count = ByteReader(lists_, table - 4).U32();
  if (!reader.ok() || index >= count) return std::nullopt;
  ByteReader entry(lists_, table + index * offset_size_);
  uint64_t offset = entry.Unsigned(offset_size_);
  if (!entry.ok() || offset > lists_.size()) return std::nullopt;
  return table + offset;
}

std::vector<RangeMap::Range> SplitUnit::RangesOf(Dwarf_Die* die) const {
  Dwarf_Attribute attribute;
  if (dwarf_attr(die, DW_AT_low_pc, &attribute) != nullptr) {
    auto start = AddressOf(&attribute);
    if (start && dwarf_attr(die, DW_AT_high_pc, &attribute) != nullptr) {
      auto end = AddressOf(&attribute);
      Dwarf_Word size = 0;
      if (!end && dwarf_formudata(&attribute, &size) == 0) end = *start + size;
      if (end) return {{.start = *start, .end = *end}};
    }
  }
  if (dwarf_attr(die, DW_AT_ranges, &attribute) == nullptr) return {};
  auto list = ListOf(&attribute);
  if (!list) return {};
  return version_ < 5 ? ReadList4(*list) : ReadList5(*list);
}

std::vector<RangeMap::Range> SplitUnit::ReadList4(uint64_t offset) const {
  std::vector<RangeMap::Range> ranges;
  ByteReader reader(lists_, offset);
  uint64_t base = base_;
  while (ranges.size() < kMaxRangesOfDie) {
    uint64_t start = reader.U64();
    uint64_t end = reader.U64();
    if (!reader.ok() || (start == 0 && end == 0)) break;
    if (start == UINT64_MAX) {
      base = end;
    } else {
      ranges.push_back({.start = base + start, .end = base + end});
    }
  }
  return ranges;
}

std::vector<RangeMap::Range> SplitUnit::ReadList5(uint64_t offset) const {
  std::vector<RangeMap::Range> ranges;
  ByteReader reader(lists_, offset);
  uint64_t base = base_;
  while (reader.ok() && ranges.size() < kMaxRangesOfDie) {
    std::optional<uint64_t> start;
    std::optional<uint64_t> end;
    switch (reader.U8()) {
      case DW_RLE_base_addressx:
        base = AddressAt(reader.Uleb()).value_or(0);
        continue;
      case DW_RLE_base_address:
        base = reader.U64();
        continue;
      case DW_RLE_startx_endx:
        start = AddressAt(reader.Uleb());
        end = AddressAt(reader.Uleb());
        break;
      case DW_RLE_startx_length:
        start = AddressAt(reader.Uleb());
        end = start.value_or(0) + reader.Uleb();
        break;
      case DW_RLE_offset_pair:
        start = base + reader.Uleb();
        end = base + reader.Uleb();
        break;
      case DW_RLE_start_end:
        start = reader.U64();
        end = reader.U64();
        break;
      case DW_RLE_start_length:
        start = reader.U64();
        end = *start + reader.Uleb();
        break;
      default:  // the end of the list, or nothing that we know
        return ranges;
    }
    if (reader.ok() && start && end) {
      ranges.push_back({.start = *start, .end = *end});
    }
  }
  return ranges;
}

}  // namespace pprofd
