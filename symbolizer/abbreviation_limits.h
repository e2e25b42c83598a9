// HasFewAbbreviations: may libdw be asked about the units of this file?
//
// libdw keeps every abbreviation it reads for each unit that reads it, and goes
// over all attributes of a DIE for each question, so that a few megabytes of
// abbreviations could cost gigabytes and hours.
// Thread: as the Dwarf.
// Bound: each table is read once, and no more bytes than kMaxReadings times the
//   section has.
#ifndef SYMBOLIZER_ABBREVIATION_LIMITS_H_
#define SYMBOLIZER_ABBREVIATION_LIMITS_H_

#include <elfutils/libdw.h>

#include <cstddef>
#include <cstdint>

namespace pprofd {

struct AbbreviationLimits {
  static constexpr size_t kMaxOfUnit = 1 << 15;
  static constexpr size_t kMaxAttributes = 512;  // of one
  static constexpr uint64_t kMaxReadings = 4;
};

// Within AbbreviationLimits, for all units.
bool HasFewAbbreviations(Dwarf* dwarf);

}  // namespace pprofd

#endif  // SYMBOLIZER_ABBREVIATION_LIMITS_H_
