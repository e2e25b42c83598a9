// DwarfExpression: the byte programs inside call frame information.
//
// Two readers: the patterns that an unwind rule can say, and an evaluator for
// the userspace unwinder.
// Thread: pure.
// Bound: kMaxInstructions and kMaxStack; jumps count as instructions.
#ifndef DAEMON_UNWIND_DWARF_EXPRESSION_H_
#define DAEMON_UNWIND_DWARF_EXPRESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "daemon/unwind/cfi.h"

namespace pprofd {

// The bytes of the expression whose length is at `position`; empty if bad.
std::span<const uint8_t> ExpressionBytes(const CfiSection& section,
                                         int32_t position);

// reg + offset, or the 8 bytes in memory there.
struct RegisterExpression {
  uint8_t reg = 0;
  int64_t offset = 0;
  bool is_deref = false;
};
std::optional<RegisterExpression> ParseRegisterExpression(
    std::span<const uint8_t> expression);

// The linker's CFA for .plt: rsp + 8, and 8 more from the threshold on in each
// 16-byte entry. Gives the threshold.
std::optional<uint8_t> ParsePltExpression(std::span<const uint8_t> expression);

// What an evaluation may read.
struct ExpressionContext {
  static constexpr int kMaxInstructions = 1000;
  static constexpr size_t kMaxStack = 64;

  // None for a register whose value is not known.
  std::function<std::optional<uint64_t>(uint64_t reg)> read_register;
  // `bytes` is 1 to 8; None where memory is not known.
  std::function<std::optional<uint64_t>(uint64_t address, unsigned bytes)>
      read_memory;
};

// The value on top of the stack; None when anything is unknown. `first` is on
// the stack before the start (the CFA, for register rules).
std::optional<uint64_t> EvaluateExpression(std::span<const uint8_t> expression,
                                           std::optional<uint64_t> first,
                                           const ExpressionContext& context);

}  // namespace pprofd

#endif  // DAEMON_UNWIND_DWARF_EXPRESSION_H_
