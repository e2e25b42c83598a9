#include "symbolizer/unit_ranges.h"

#include <dwarf.h>

#include <algorithm>

#include "symbolizer/die_reference.h"

namespace pprofd {
namespace {

constexpr uint64_t kAddressSize = 8;
constexpr uint64_t kAddressTableHeaderBytes = 8;

}  // namespace

uint64_t UnitRanges::Append(const DieValues& values,
                            std::vector<RangeMap::Range>& ranges) const {
  if (values.low_pc.form != 0 && values.high_pc.form != 0) {
    std::optional<uint64_t> start = AddressOf(values.low_pc);
    std::optional<uint64_t> end =
        start ? EndOf(*start, values.high_pc) : std::nullopt;
    if (end) {
      ranges.push_back({.start = *start, .end = *end});
      return 0;
    }
  }
  if (values.ranges.form == 0) return 0;
  std::optional<uint64_t> list = ListOf(values.ranges);
  if (!list) return 0;
  return format_.version < 5 ? AppendList4(*list, ranges)
                             : AppendList5(*list, ranges);
}

std::optional<uint64_t> UnitRanges::AddressAt(uint64_t index) const {
  if (index >= sections_.addresses.size() / kAddressSize) return std::nullopt;
  return ByteReader(sections_.addresses, index * kAddressSize).U64();
}

std::optional<uint64_t> UnitRanges::AddressOf(const FormValue& value) const {
  switch (value.form) {
    case DW_FORM_addr:
      return value.value;
    case DW_FORM_addrx:
    case DW_FORM_addrx1:
    case DW_FORM_addrx2:
    case DW_FORM_addrx3:
    case DW_FORM_addrx4:
    case DW_FORM_GNU_addr_index:
      return AddressAt(value.value);
    default:
      return std::nullopt;
  }
}

// A constant is the size.
std::optional<uint64_t> UnitRanges::EndOf(uint64_t start,
                                          const FormValue& value) const {
  if (value.is_constant()) return start + value.value;
  return AddressOf(value);
}

std::optional<uint64_t> UnitRanges::ListOf(const FormValue& value) const {
  switch (value.form) {
    case DW_FORM_sec_offset:
    case DW_FORM_data4:
    case DW_FORM_data8:
      return value.value;
    case DW_FORM_rnglistx:
      break;
    default:
      return std::nullopt;
  }
  // The table has the number of lists before it, and says how far they are.
  if (sections_.list_table < 4) return std::nullopt;
  ByteReader table(sections_.lists, sections_.list_table - 4);
  uint64_t count = table.U32();
  if (value.value >= count) return std::nullopt;
  table.Skip(value.value * format_.offset_size);
  uint64_t offset = table.Unsigned(format_.offset_size);
  if (!table.ok() || offset > sections_.lists.size()) return std::nullopt;
  return sections_.list_table + offset;
}

uint64_t UnitRanges::AppendList4(uint64_t offset,
                                 std::vector<RangeMap::Range>& ranges) const {
  ByteReader reader(sections_.lists, offset);
  uint64_t base = sections_.base;
  uint64_t count = 0;
  for (; count < kMaxEntriesOfDie; ++count) {
    uint64_t start = reader.U64();
    uint64_t end = reader.U64();
    if (!reader.ok() || (start == 0 && end == 0)) break;
    if (start == UINT64_MAX) {
      base = end;
    } else {
      ranges.push_back({.start = base + start, .end = base + end});
    }
  }
  return count;
}

uint64_t UnitRanges::AppendList5(uint64_t offset,
                                 std::vector<RangeMap::Range>& ranges) const {
  ByteReader reader(sections_.lists, offset);
  uint64_t base = sections_.base;
  uint64_t count = 0;
  for (; reader.ok() && count < kMaxEntriesOfDie; ++count) {
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
        return count;
    }
    if (reader.ok() && start && end) {
      ranges.push_back({.start = *start, .end = *end});
    }
  }
  return count;
}

UnitRanges RangesOfUnit(DwarfFile& file, Dwarf_Die unit_die,
                        const UnitFormat& format) {
  const DieSections& sections = file.die_sections();
  UnitRanges::Sections found;
  Dwarf_Addr base = 0;
  Dwarf_Attribute attribute;
  // Before DWARF 3 was done, GCC said so by the entry.
  if (dwarf_lowpc(&unit_die, &base) == 0 ||
      (dwarf_attr(&unit_die, DW_AT_entry_pc, &attribute) != nullptr &&
       dwarf_formaddr(&attribute, &base) == 0)) {
    found.base = base;
  }
  bool is_new = format.version >= 5;
  auto table =
      SectionOffset(&unit_die, is_new ? DW_AT_addr_base : DW_AT_GNU_addr_base,
                    format.offset_size);
  uint64_t first = is_new ? kAddressTableHeaderBytes : 0;
  found.addresses = sections.addresses.subspan(
      std::min<uint64_t>(table.value_or(first), sections.addresses.size()));
  found.lists = is_new ? sections.range_lists : sections.ranges;
  found.list_table =
      SectionOffset(&unit_die, DW_AT_rnglists_base, format.offset_size)
          .value_or(RangeListHeaderBytes(format));
  return UnitRanges(format, found);
}

}  // namespace pprofd
