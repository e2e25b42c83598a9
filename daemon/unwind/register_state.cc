#include "daemon/unwind/register_state.h"

#include <cstring>

#include "daemon/unwind/dwarf_expression.h"

namespace pprofd {
namespace {

bool IsCalleeSaved(size_t reg) {
  return reg == kRegisterRbx || reg == kRegisterRbp ||
         (reg >= kRegisterR12 && reg <= kRegisterR15);
}

// Offsets from rsp of the registers, in DWARF order, in the frame that the
// kernel pushes for a signal.
constexpr std::array<uint16_t, PPROFD_REGISTERS> kSignalFrameOffsets{
    144, 136, 152, 128, 112, 104, 120, 160, 40,
    48,  56,  64,  72,  80,  88,  96,  168};

}  // namespace

RegisterState::RegisterState(const RawStack& raw)
    : raw_(raw), stack_start_(raw.registers[kRegisterRsp]) {
  for (size_t i = 0; i < values_.size(); ++i) values_[i] = raw.registers[i];
}

std::optional<uint64_t> RegisterState::ReadRegister(uint64_t reg) const {
  if (reg >= values_.size()) return std::nullopt;
  return values_[reg];
}

std::optional<uint64_t> RegisterState::ReadMemory(uint64_t address,
                                                  unsigned bytes) const {
  uint64_t into = address - stack_start_;
  if (address < stack_start_ || raw_.bytes.size() < bytes ||
      into > raw_.bytes.size() - bytes) {
    return std::nullopt;
  }
  uint64_t value = 0;
  std::memcpy(&value, raw_.bytes.data() + into, bytes);
  return value;
}

std::optional<uint64_t> RegisterState::Evaluate(
    const CfiSection& section, int32_t position,
    std::optional<uint64_t> first) const {
  ExpressionContext context;
  context.read_register = [this](uint64_t reg) { return ReadRegister(reg); };
  context.read_memory = [this](uint64_t address, unsigned bytes) {
    return ReadMemory(address, bytes);
  };
  return EvaluateExpression(ExpressionBytes(section, position), first, context);
}

std::optional<uint64_t> RegisterState::FindCfa(const CodeInfo& code) const {
  const CfiRule& cfa = code.row.cfa;
  if (cfa.kind == CfiRuleKind::kRegister) {
    std::optional<uint64_t> base = ReadRegister(cfa.reg);
    if (!base) return std::nullopt;
    return *base + static_cast<uint64_t>(int64_t{cfa.value});
  }
  if (cfa.kind != CfiRuleKind::kExpression || code.section == nullptr) {
    return std::nullopt;
  }
  return Evaluate(*code.section, cfa.value, std::nullopt);
}

std::optional<uint64_t> RegisterState::FindRegister(const CodeInfo& code,
                                                    size_t reg,
                                                    uint64_t cfa) const {
  const CfiRule& rule = code.row.registers[reg];
  uint64_t at = cfa + static_cast<uint64_t>(int64_t{rule.value});
  switch (rule.kind) {
    case CfiRuleKind::kUnspecified:
      if (reg == kRegisterRsp) return cfa;
      return IsCalleeSaved(reg) ? values_[reg] : std::nullopt;
    case CfiRuleKind::kSame:
      return values_[reg];
    case CfiRuleKind::kAtCfa:
      return ReadMemory(at, 8);
    case CfiRuleKind::kCfaPlus:
      return at;
    case CfiRuleKind::kRegister:
      return ReadRegister(rule.reg);
    case CfiRuleKind::kAtExpression:
    case CfiRuleKind::kExpression: {
      if (code.section == nullptr) return std::nullopt;
      auto value = Evaluate(*code.section, rule.value, cfa);
      if (!value || rule.kind == CfiRuleKind::kExpression) return value;
      return ReadMemory(*value, 8);
    }
    case CfiRuleKind::kUndefined:
    case CfiRuleKind::kUnsupported:
      break;
  }
  return std::nullopt;
}

StepResult RegisterState::StepByRow(const CodeInfo& code) {
  const CfiRule& rip = code.row.registers[kRegisterRip];
  if (rip.kind == CfiRuleKind::kUndefined) return StepResult::kRoot;
  if (rip.kind == CfiRuleKind::kUnspecified ||
      rip.kind == CfiRuleKind::kUnsupported) {
    return StepResult::kNotUnderstood;
  }
  std::optional<uint64_t> cfa = FindCfa(code);
  if (!cfa) {
    bool reads_memory = code.row.cfa.kind == CfiRuleKind::kExpression;
    return reads_memory ? StepResult::kOutsideStack
                        : StepResult::kNotUnderstood;
  }
  std::optional<uint64_t> sp = values_[kRegisterRsp];
  // A signal may have been handled on a stack of its own.
  if (!code.is_signal_frame && sp && *cfa < *sp) {
    return StepResult::kStackOrder;
  }
  Values caller;
  for (size_t reg = 0; reg < caller.size(); ++reg) {
    caller[reg] = FindRegister(code, reg, *cfa);
  }
  if (!caller[kRegisterRip]) return StepResult::kOutsideStack;
  values_ = caller;
  return StepResult::kCaller;
}

StepResult RegisterState::StepByKernelSignalFrame() {
  std::optional<uint64_t> sp = values_[kRegisterRsp];
  if (!sp) return StepResult::kNotUnderstood;
  Values caller;
  for (size_t reg = 0; reg < caller.size(); ++reg) {
    caller[reg] = ReadMemory(*sp + kSignalFrameOffsets[reg], 8);
  }
  if (!caller[kRegisterRip]) return StepResult::kOutsideStack;
  values_ = caller;
  return StepResult::kCaller;
}

StepResult RegisterState::StepByFramePointer() {
  std::optional<uint64_t> bp = values_[kRegisterRbp];
  if (!bp) return StepResult::kBadFramePointer;
  if (*bp == 0) return StepResult::kRoot;
  uint64_t sp = values_[kRegisterRsp].value_or(0);
  if (*bp % 8 != 0 || *bp < sp) return StepResult::kBadFramePointer;
  std::optional<uint64_t> caller_bp = ReadMemory(*bp, 8);
  std::optional<uint64_t> caller_pc = ReadMemory(*bp + 8, 8);
  if (!caller_bp || !caller_pc) return StepResult::kOutsideStack;
  Values caller;
  caller[kRegisterRbp] = caller_bp;
  caller[kRegisterRip] = caller_pc;
  caller[kRegisterRsp] = *bp + 16;
  values_ = caller;
  return StepResult::kCaller;
}

}  // namespace pprofd
