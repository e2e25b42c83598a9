// References between DIEs, the supplementary ones of DWARF 5 included: libdw
// looks those up in the wrong file.
//
// Thread: as the Dwarf.
// Bound: kMaxReferences in a row, so that circles end.
#ifndef SYMBOLIZER_DIE_REFERENCE_H_
#define SYMBOLIZER_DIE_REFERENCE_H_

#include <elfutils/libdw.h>

#include <cstdint>
#include <optional>
#include <span>

namespace pprofd {

inline constexpr int kMaxReferences = 16;

// The DIE that an attribute refers to. False when there is none.
bool FollowReference(Dwarf_Attribute* attribute, Dwarf_Die* result);

// Goes on to what `die` is an instance of, or the definition of.
bool FollowOrigin(Dwarf_Die* die);

// The attribute of the DIE or of those that FollowOrigin() leads to.
bool FindAttribute(Dwarf_Die die, unsigned name, Dwarf_Attribute* result);

bool UnitDieOf(Dwarf_CU* unit, Dwarf_Die* unit_die);
// Offset of the end of the unit in its section; 0 when it cannot be told.
uint64_t UnitEnd(Dwarf_Die* unit_die);
// An offset in another section; nothing if absent.
std::optional<uint64_t> SectionOffset(Dwarf_Die* die, unsigned name,
                                      uint8_t offset_size);
// The bytes from an attribute's value to the end of its unit.
std::span<const uint8_t> BytesFrom(const Dwarf_Attribute& attribute);

}  // namespace pprofd

#endif  // SYMBOLIZER_DIE_REFERENCE_H_
