#include "daemon/unwind/unwind_rule.h"

#include <limits>
#include <optional>

#include "daemon/unwind/dwarf_expression.h"

namespace pprofd {
namespace {

// Offsets of rsp and rip in the frame that the kernel pushes for a signal.
constexpr int64_t kSignalRspOffset = 160;
constexpr int64_t kSignalRipOffset = 168;

std::optional<int16_t> InWords(int64_t offset) {
  if (offset % 8 != 0) return std::nullopt;
  int64_t words = offset / 8;
  if (words < std::numeric_limits<int16_t>::min() ||
      words > std::numeric_limits<int16_t>::max()) {
    return std::nullopt;
  }
  return static_cast<int16_t>(words);
}

bool IsSignalFrame(const CfiRow& row, const CfiSection& section) {
  const CfiRule& rip = row.registers[kRegisterRip];
  if (row.cfa.kind != CfiRuleKind::kExpression ||
      rip.kind != CfiRuleKind::kAtExpression) {
    return false;
  }
  auto cfa = ParseRegisterExpression(ExpressionBytes(section, row.cfa.value));
  auto at = ParseRegisterExpression(ExpressionBytes(section, rip.value));
  return cfa && at && cfa->reg == kRegisterRsp && cfa->is_deref &&
         cfa->offset == kSignalRspOffset && at->reg == kRegisterRsp &&
         !at->is_deref && at->offset == kSignalRipOffset;
}

bool SetCfaFromRegister(uint8_t reg, int64_t offset, bool is_deref,
                        UnwindRule* rule) {
  std::optional<int16_t> words = InWords(offset);
  if (!words || reg >= PPROFD_REGISTERS) return false;
  rule->cfa_off8 = *words;
  if (reg == kRegisterRsp) {
    rule->cfa_kind = is_deref ? PPROFD_CFA_RSP_DEREF : PPROFD_CFA_RSP;
  } else if (reg == kRegisterRbp) {
    rule->cfa_kind = is_deref ? PPROFD_CFA_RBP_DEREF : PPROFD_CFA_RBP;
  } else {
    if (is_deref) return false;
    rule->cfa_kind = PPROFD_CFA_REG;
    rule->cfa_reg = reg;
  }
  return true;
}

bool SetCfa(const CfiRule& cfa, const CfiSection& section, UnwindRule* rule) {
  if (cfa.kind == CfiRuleKind::kRegister) {
    return SetCfaFromRegister(cfa.reg, cfa.value, false, rule);
  }
  if (cfa.kind != CfiRuleKind::kExpression) return false;
  std::span<const uint8_t> bytes = ExpressionBytes(section, cfa.value);
  if (auto expression = ParseRegisterExpression(bytes)) {
    return SetCfaFromRegister(expression->reg, expression->offset,
                              expression->is_deref, rule);
  }
  if (auto threshold = ParsePltExpression(bytes)) {
    rule->cfa_kind = PPROFD_CFA_PLT;
    rule->cfa_off8 = *threshold;
    return true;
  }
  return false;
}

bool SetRbp(const CfiRule& rbp, const CfiSection& section, UnwindRule* rule) {
  std::optional<int16_t> words;
  switch (rbp.kind) {
    case CfiRuleKind::kUnspecified:
    case CfiRuleKind::kSame:
      rule->rbp_kind = PPROFD_RBP_SAME;
      return true;
    case CfiRuleKind::kUndefined:
      rule->rbp_kind = PPROFD_RBP_UNDEFINED;
      return true;
    case CfiRuleKind::kAtCfa:
      rule->rbp_kind = PPROFD_RBP_AT_CFA;
      words = InWords(rbp.value);
      break;
    case CfiRuleKind::kRegister:
      rule->rbp_kind = PPROFD_RBP_SAME;
      return rbp.reg == kRegisterRbp;
    case CfiRuleKind::kAtExpression: {
      auto at = ParseRegisterExpression(ExpressionBytes(section, rbp.value));
      if (!at || at->is_deref || at->reg != kRegisterRbp) return false;
      rule->rbp_kind = PPROFD_RBP_AT_RBP;
      words = InWords(at->offset);
      break;
    }
    default:
      return false;
  }
  if (!words) return false;
  rule->rbp_off8 = *words;
  return true;
}

}  // namespace

UnwindRule MakeUnwindRule(const CfiRow& row, bool is_signal_frame,
                          const CfiSection& section) {
  const CfiRule& rip = row.registers[kRegisterRip];
  if (rip.kind == CfiRuleKind::kUndefined) return kRuleEnd;
  if (is_signal_frame) {
    return IsSignalFrame(row, section) ? kRuleSignal : kRuleUnsupported;
  }
  UnwindRule rule{};
  if (!SetCfa(row.cfa, section, &rule) ||
      !SetRbp(row.registers[kRegisterRbp], section, &rule)) {
    return kRuleUnsupported;
  }
  if (rip.kind == CfiRuleKind::kAtCfa && rip.value == -8) {
    rule.ra_kind = PPROFD_RA_AT_CFA;
  } else if (rip.kind == CfiRuleKind::kRegister && rip.reg == kRegisterRdi) {
    rule.ra_kind = PPROFD_RA_RDI;
  } else {
    return kRuleUnsupported;
  }
  return rule;
}

RuleSet::RuleSet() { Number(kRuleNone); }

uint16_t RuleSet::Number(const UnwindRule& rule) {
  auto [entry, is_new] = numbers_.try_emplace(RuleBits(rule), 0);
  if (!is_new) return entry->second;
  if (rules_.size() == PPROFD_MAX_RULES - 1 &&
      RuleBits(rule) != RuleBits(kRuleUnsupported)) {
    // The last number is kept for the rule that stands for all later ones.
    numbers_.erase(entry);
    return Number(kRuleUnsupported);
  }
  if (rules_.size() == PPROFD_MAX_RULES) {
    numbers_.erase(entry);
    return 0;
  }
  entry->second = static_cast<uint16_t>(rules_.size());
  rules_.push_back(rule);
  return entry->second;
}

}  // namespace pprofd
