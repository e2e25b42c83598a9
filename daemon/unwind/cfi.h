// CfiSection, Cie, Fde, CfiRow: the nouns of call frame information.
//
// Thread: values.
#ifndef DAEMON_UNWIND_CFI_H_
#define DAEMON_UNWIND_CFI_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "bpf/abi.h"

namespace pprofd {

// DWARF register numbers of x86_64 that have a meaning of their own here.
inline constexpr uint8_t kRegisterRbx = 3;
inline constexpr uint8_t kRegisterRdi = 5;
inline constexpr uint8_t kRegisterRbp = 6;
inline constexpr uint8_t kRegisterRsp = 7;
inline constexpr uint8_t kRegisterR12 = 12;
inline constexpr uint8_t kRegisterR15 = 15;
inline constexpr uint8_t kRegisterRip = 16;

// A section of call frame information and what its pointers are relative to.
// Larger sections than kMaxBytes are refused: positions in it are 31 bits.
struct CfiSection {
  static constexpr size_t kMaxBytes = 0x7fffffff;

  std::span<const uint8_t> bytes;
  uint64_t address = 0;       // module address of the first byte
  uint64_t text_address = 0;  // for text-relative pointers
  uint64_t data_address = 0;  // for data-relative pointers
  bool is_eh_frame = true;    // else .debug_frame
  // The end is not known (found without section headers): a zero length ends.
  bool stops_at_zero = false;
};

enum class CfiRuleKind : uint8_t {
  kUnspecified,   // nothing said: unchanged, by the ABI, if callee-saved
  kUndefined,     // lost
  kSame,          // unchanged
  kAtCfa,         // in memory at CFA + value
  kCfaPlus,       // is CFA + value
  kRegister,      // in register `reg`; for the CFA: reg + value
  kAtExpression,  // in memory where the expression at `value` says
  kExpression,    // is what the expression at `value` says
  kUnsupported,   // an offset too large for `value`
};

// Where one register of the caller is. An expression's `value` is the position
// in the section of its length, a ULEB128, which its bytes follow.
struct CfiRule {
  CfiRuleKind kind = CfiRuleKind::kUnspecified;
  uint8_t reg = 0;
  uint16_t unused = 0;
  int32_t value = 0;

  uint64_t bits() const { return std::bit_cast<uint64_t>(*this); }
};
static_assert(sizeof(CfiRule) == 8);

// Where everything of the caller is, for a range of addresses.
struct CfiRow {
  CfiRule cfa;
  std::array<CfiRule, PPROFD_REGISTERS> registers;
};

// Common part of many functions' call frame information.
struct Cie {
  uint64_t code_alignment = 1;
  int64_t data_alignment = 1;
  uint32_t program_start = 0;  // positions in the section
  uint32_t program_limit = 0;
  uint8_t pointer_encoding = 0;  // DW_EH_PE_*
  uint8_t address_bytes = 8;
  bool has_augmentation_data = false;
  bool is_signal_frame = false;
  bool is_valid = false;
  uint64_t return_register = kRegisterRip;
  CfiRow initial;  // result of its program
};

// One range [start, limit) of module addresses and its program.
struct Fde {
  uint64_t start = 0;
  uint64_t limit = 0;
  uint32_t program_start = 0;
  uint32_t program_limit = 0;
  uint32_t cie = 0;  // index
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_CFI_H_
