// CfiInterpreter: runs the program of a CIE or FDE.
//
// A template over what happens with a row, because a table build runs a million
// of them; scratch is reused from function to function.
// Borrows: the section.
// Thread: one.
// Bound: linear in the program's bytes; kMaxSavedRows rows remembered.
// Fails: returns false at an unknown instruction or missing bytes; rows before
//   it were given to the sink.
#ifndef DAEMON_UNWIND_CFI_INTERPRETER_H_
#define DAEMON_UNWIND_CFI_INTERPRETER_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "daemon/unwind/cfi.h"
#include "daemon/unwind/cfi_reader.h"

namespace pprofd {

class CfiInterpreter {
 public:
  static constexpr size_t kMaxSavedRows = 64;

  explicit CfiInterpreter(const CfiSection& section) : section_(section) {}

  // Runs the CIE's program into cie->initial.
  bool RunCie(Cie* cie) {
    row_ = CfiRow{};
    auto ignore = [](uint64_t, const CfiRow&) {};
    bool ok = Run(*cie, cie->program_start, cie->program_limit, 0, 0, ignore);
    cie->initial = row_;
    return ok;
  }

  // Calls sink(address, row) for each range's first address, ascending, all
  // below fde.limit. When it returns false, unwinding information from
  // failed_at() on is unknown.
  template <typename Sink>
  bool RunFde(const Cie& cie, const Fde& fde, Sink&& sink) {
    row_ = cie.initial;
    saved_.clear();
    return Run(cie, fde.program_start, fde.program_limit, fde.start, fde.limit,
               sink);
  }
  uint64_t failed_at() const { return location_; }

 private:
  template <typename Sink>
  bool Run(const Cie& cie, uint32_t start, uint32_t limit, uint64_t location,
           uint64_t location_limit, Sink& sink);
  template <typename Sink>
  bool Advance(uint64_t delta, uint64_t location_limit, Sink& sink);
  // Instructions other than the ones that move the location.
  bool RunRuleInstruction(const Cie& cie, uint8_t opcode, CfiReader& reader);
  bool RunExpressionInstruction(uint8_t opcode, CfiReader& reader);
  std::optional<uint64_t> SetLocation(const Cie& cie, CfiReader& reader);

  void SetRule(uint64_t reg, CfiRuleKind kind, int64_t value) {
    if (reg >= row_.registers.size()) return;
    row_.registers[reg] = MakeRule(kind, 0, value);
  }
  static CfiRule MakeRule(CfiRuleKind kind, uint64_t reg, int64_t value) {
    if (value < std::numeric_limits<int32_t>::min() ||
        value > std::numeric_limits<int32_t>::max() || reg > 0xff) {
      return {.kind = CfiRuleKind::kUnsupported};
    }
    return {.kind = kind,
            .reg = static_cast<uint8_t>(reg),
            .value = static_cast<int32_t>(value)};
  }
  static int64_t Scale(uint64_t factor, int64_t alignment) {
    return static_cast<int64_t>(factor * static_cast<uint64_t>(alignment));
  }

  const CfiSection& section_;
  CfiRow row_;
  uint64_t location_ = 0;
  std::vector<CfiRow> saved_;
};

template <typename Sink>
inline bool CfiInterpreter::Advance(uint64_t delta, uint64_t location_limit,
                                    Sink& sink) {
  if (delta == 0) return true;
  if (location_ < location_limit) sink(location_, row_);
  location_ =
      delta < location_limit - location_ ? location_ + delta : location_limit;
  return true;
}

template <typename Sink>
bool CfiInterpreter::Run(const Cie& cie, uint32_t start, uint32_t limit,
                         uint64_t location, uint64_t location_limit,
                         Sink& sink) {
  location_ = location;
  CfiReader reader(section_.bytes.first(limit), start);
  while (!reader.AtEnd()) {
    uint8_t opcode = reader.U8();
    uint8_t low = opcode & 0x3f;
    switch (opcode >> 6) {
      case 1:  // DW_CFA_advance_loc
        Advance(low * cie.code_alignment, location_limit, sink);
        continue;
      case 2:  // DW_CFA_offset
        SetRule(low, CfiRuleKind::kAtCfa,
                Scale(reader.Uleb(), cie.data_alignment));
        continue;
      case 3:  // DW_CFA_restore
        if (low < row_.registers.size()) {
          row_.registers[low] = cie.initial.registers[low];
        }
        continue;
      default:
        break;
    }
    switch (opcode) {
      case 0x00:  // DW_CFA_nop
        break;
      case 0x0e:  // DW_CFA_def_cfa_offset
        row_.cfa = MakeRule(row_.cfa.kind, row_.cfa.reg,
                            static_cast<int64_t>(reader.Uleb()));
        break;
      case 0x01: {  // DW_CFA_set_loc
        std::optional<uint64_t> target = SetLocation(cie, reader);
        if (!target || *target < location_) return false;
        Advance(*target - location_, location_limit, sink);
        break;
      }
      case 0x02:  // DW_CFA_advance_loc1
        Advance(reader.U8() * cie.code_alignment, location_limit, sink);
        break;
      case 0x03:  // DW_CFA_advance_loc2
        Advance(reader.U16() * cie.code_alignment, location_limit, sink);
        break;
      case 0x04:  // DW_CFA_advance_loc4
        Advance(reader.U32() * cie.code_alignment, location_limit, sink);
        break;
      case 0x1d:  // DW_CFA_MIPS_advance_loc8
        Advance(reader.U64() * cie.code_alignment, location_limit, sink);
        break;
      default:
        if (!RunRuleInstruction(cie, opcode, reader)) return false;
    }
  }
  if (!reader.ok()) return false;
  if (location_ < location_limit) sink(location_, row_);
  return true;
}

}  // namespace pprofd

#endif  // DAEMON_UNWIND_CFI_INTERPRETER_H_
