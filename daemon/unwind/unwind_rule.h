// UnwindRule, RuleSet: call frame information in the 8 bytes the kernel half
// understands.
//
// A whole system needs about 5,200 distinct rules; one file, a few hundred.
// Thread: RuleSet one, the rest pure.
#ifndef DAEMON_UNWIND_UNWIND_RULE_H_
#define DAEMON_UNWIND_UNWIND_RULE_H_

#include <bit>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "bpf/abi.h"
#include "daemon/unwind/cfi.h"

namespace pprofd {

using UnwindRule = pprofd_unwind_rule;

inline uint64_t RuleBits(const UnwindRule& rule) {
  return std::bit_cast<uint64_t>(rule);
}

// A rule that is only a kind.
constexpr UnwindRule PlainRule(uint8_t cfa_kind) {
  UnwindRule rule{};
  rule.cfa_kind = cfa_kind;
  return rule;
}
inline constexpr UnwindRule kRuleNone = PlainRule(PPROFD_CFA_NONE);
inline constexpr UnwindRule kRuleUnsupported =
    PlainRule(PPROFD_CFA_UNSUPPORTED);
inline constexpr UnwindRule kRuleSignal = PlainRule(PPROFD_CFA_SIGNAL);
inline constexpr UnwindRule kRuleEnd = PlainRule(PPROFD_CFA_END);

// What a row of call frame information says, or kRuleUnsupported.
UnwindRule MakeUnwindRule(const CfiRow& row, bool is_signal_frame,
                          const CfiSection& section);

// Numbers the distinct rules of one file; kRuleNone is 0.
// Bound: PPROFD_MAX_RULES; later rules become kRuleUnsupported.
class RuleSet {
 public:
  RuleSet();
  uint16_t Number(const UnwindRule& rule);
  const std::vector<UnwindRule>& rules() const { return rules_; }
  std::vector<UnwindRule> TakeRules() { return std::move(rules_); }

 private:
  std::vector<UnwindRule> rules_;
  std::unordered_map<uint64_t, uint16_t> numbers_;
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_UNWIND_RULE_H_
