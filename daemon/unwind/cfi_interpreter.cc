#include "daemon/unwind/cfi_interpreter.h"

#include "daemon/unwind/eh_frame.h"

namespace pprofd {

std::optional<uint64_t> CfiInterpreter::SetLocation(const Cie& cie,
                                                    CfiReader& reader) {
  if (section_.is_eh_frame) {
    return ReadEncodedPointer(reader, cie.pointer_encoding, section_);
  }
  return cie.address_bytes == 4 ? reader.U32() : reader.U64();
}

bool CfiInterpreter::RunRuleInstruction(const Cie& cie, uint8_t opcode,
                                        CfiReader& reader) {
  using enum CfiRuleKind;
  uint64_t reg = 0;
  switch (opcode) {
    case 0x05:  // DW_CFA_offset_extended
      reg = reader.Uleb();
      SetRule(reg, kAtCfa, Scale(reader.Uleb(), cie.data_alignment));
      return true;
    case 0x06:  // DW_CFA_restore_extended
      reg = reader.Uleb();
      if (reg < row_.registers.size()) {
        row_.registers[reg] = cie.initial.registers[reg];
      }
      return true;
    case 0x07:  // DW_CFA_undefined
      SetRule(reader.Uleb(), kUndefined, 0);
      return true;
    case 0x08:  // DW_CFA_same_value
      SetRule(reader.Uleb(), kSame, 0);
      return true;
    case 0x09: {  // DW_CFA_register
      reg = reader.Uleb();
      CfiRule rule = MakeRule(kRegister, reader.Uleb(), 0);
      if (reg < row_.registers.size()) row_.registers[reg] = rule;
      return true;
    }
    case 0x0a:  // DW_CFA_remember_state
      if (saved_.size() >= kMaxSavedRows) return false;
      saved_.push_back(row_);
      return true;
    case 0x0b:  // DW_CFA_restore_state
      if (saved_.empty()) return false;
      row_ = saved_.back();
      saved_.pop_back();
      return true;
    case 0x0c:  // DW_CFA_def_cfa
      reg = reader.Uleb();
      row_.cfa = MakeRule(kRegister, reg, static_cast<int64_t>(reader.Uleb()));
      return true;
    case 0x0d:  // DW_CFA_def_cfa_register
      row_.cfa = MakeRule(kRegister, reader.Uleb(), row_.cfa.value);
      return true;
    case 0x11:  // DW_CFA_offset_extended_sf
      reg = reader.Uleb();
      SetRule(reg, kAtCfa,
              Scale(static_cast<uint64_t>(reader.Sleb()), cie.data_alignment));
      return true;
    case 0x12:  // DW_CFA_def_cfa_sf
      reg = reader.Uleb();
      row_.cfa = MakeRule(
          kRegister, reg,
          Scale(static_cast<uint64_t>(reader.Sleb()), cie.data_alignment));
      return true;
    case 0x13:  // DW_CFA_def_cfa_offset_sf
      row_.cfa = MakeRule(
          row_.cfa.kind, row_.cfa.reg,
          Scale(static_cast<uint64_t>(reader.Sleb()), cie.data_alignment));
      return true;
    case 0x14:  // DW_CFA_val_offset
      reg = reader.Uleb();
      SetRule(reg, kCfaPlus, Scale(reader.Uleb(), cie.data_alignment));
      return true;
    case 0x15:  // DW_CFA_val_offset_sf
      reg = reader.Uleb();
      SetRule(reg, kCfaPlus,
              Scale(static_cast<uint64_t>(reader.Sleb()), cie.data_alignment));
      return true;
    case 0x2e:  // DW_CFA_GNU_args_size
      reader.Uleb();
      return true;
    case 0x2f:  // DW_CFA_GNU_negative_offset_extended
      reg = reader.Uleb();
      SetRule(reg, kAtCfa, Scale(0 - reader.Uleb(), cie.data_alignment));
      return true;
    default:
      return RunExpressionInstruction(opcode, reader);
  }
}

bool CfiInterpreter::RunExpressionInstruction(uint8_t opcode,
                                              CfiReader& reader) {
  uint64_t reg = 0;
  switch (opcode) {
    case 0x0f:  // DW_CFA_def_cfa_expression
      row_.cfa = MakeRule(CfiRuleKind::kExpression, 0,
                          static_cast<int64_t>(reader.position()));
      break;
    case 0x10:  // DW_CFA_expression
      reg = reader.Uleb();
      SetRule(reg, CfiRuleKind::kAtExpression,
              static_cast<int64_t>(reader.position()));
      break;
    case 0x16:  // DW_CFA_val_expression
      reg = reader.Uleb();
      SetRule(reg, CfiRuleKind::kExpression,
              static_cast<int64_t>(reader.position()));
      break;
    default:
      return false;
  }
  reader.Skip(reader.Uleb());
  return reader.ok();
}

}  // namespace pprofd
