#include "symbolizer/die_reference.h"

#include <dwarf.h>

#include <algorithm>
#include <functional>

#include "symbolizer/byte_reader.h"
#include "symbolizer/dwarf_file.h"

namespace pprofd {
namespace {

constexpr uint64_t kLengthOf64Bits = 0xffffffff;

// From the start of the section that a DIE is in; empty if it holds no DIEs.
std::span<const uint8_t> SectionAround(Dwarf_Die* die) {
  auto* at = static_cast<const uint8_t*>(die->addr);
  Dwarf* dwarf = dwarf_cu_getdwarf(die->cu);
  for (const char* name :
       {"debug_info", "debug_types", "debug_info.dwo", "debug_types.dwo"}) {
    std::span<const uint8_t> section = FindSection(dwarf, name);
    if (!section.empty() && std::less_equal()(section.data(), at) &&
        std::less()(at, section.data() + section.size())) {
      return section;
    }
  }
  return {};
}

}  // namespace

bool FollowReference(Dwarf_Attribute* attribute, Dwarf_Die* result) {
  unsigned form = dwarf_whatform(attribute);
  if (form != DW_FORM_ref_sup4 && form != DW_FORM_ref_sup8) {
    return dwarf_formref_die(attribute, result) != nullptr;
  }
  Dwarf* other = dwarf_getalt(dwarf_cu_getdwarf(attribute->cu));
  ByteReader reader(BytesFrom(*attribute));
  uint64_t offset = reader.Unsigned(form == DW_FORM_ref_sup4 ? 4 : 8);
  return other != nullptr && reader.ok() &&
         dwarf_offdie(other, offset, result) != nullptr;
}

bool FollowOrigin(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  Dwarf_Die next;
  if ((dwarf_attr(die, DW_AT_abstract_origin, &attribute) == nullptr &&
       dwarf_attr(die, DW_AT_specification, &attribute) == nullptr) ||
      !FollowReference(&attribute, &next)) {
    return false;
  }
  *die = next;
  return true;
}

bool FindAttribute(Dwarf_Die die, unsigned name, Dwarf_Attribute* result) {
  for (int i = 0; i <= kMaxReferences; ++i) {
    if (dwarf_attr(&die, name, result) != nullptr) return true;
    if (!FollowOrigin(&die)) return false;
  }
  return false;
}

bool UnitDieOf(Dwarf_CU* unit, Dwarf_Die* unit_die) {
  return dwarf_cu_die(unit, unit_die, nullptr, nullptr, nullptr, nullptr,
                      nullptr, nullptr) != nullptr;
}

uint64_t UnitEnd(Dwarf_Die* unit_die) {
  std::span<const uint8_t> section = SectionAround(unit_die);
  uint64_t die_offset = dwarf_dieoffset(unit_die);
  ByteReader header(section, die_offset - dwarf_cuoffset(unit_die));
  uint64_t length = header.U32();
  if (length == kLengthOf64Bits) length = header.U64();
  header.Skip(std::min(length, header.remaining()));
  return header.ok() && header.offset() > die_offset ? header.offset() : 0;
}

std::optional<uint64_t> SectionOffset(Dwarf_Die* die, unsigned name,
                                      uint8_t offset_size) {
  Dwarf_Attribute attribute;
  if (dwarf_attr(die, name, &attribute) == nullptr) return std::nullopt;
  unsigned form = dwarf_whatform(&attribute);
  ByteReader reader(BytesFrom(attribute));
  if (form == DW_FORM_sec_offset) return reader.Unsigned(offset_size);
  if (form == DW_FORM_data4) return reader.U32();
  if (form == DW_FORM_data8) return reader.U64();
  return std::nullopt;
}

std::span<const uint8_t> BytesFrom(const Dwarf_Attribute& attribute) {
  Dwarf_Die unit_die;
  if (!UnitDieOf(attribute.cu, &unit_die)) return {};
  uint64_t end_offset = UnitEnd(&unit_die);
  if (end_offset == 0) return {};
  auto* start = static_cast<const uint8_t*>(unit_die.addr);
  auto* end = start + (end_offset - dwarf_dieoffset(&unit_die));
  if (attribute.valp < start || attribute.valp >= end) return {};
  return {attribute.valp, end};
}

}  // namespace pprofd
