// Fuzz target: DWARF expressions alone, as unwind information brings them.
//
// Every program ends, and the two readers of simple ones agree with the
// evaluator.

#include <cstdlib>

#include "daemon/unwind/dwarf_expression.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  std::span<const uint8_t> expression(data, size);
  int reads = 0;
  ExpressionContext context;
  context.read_register = [&](uint64_t reg) {
    ++reads;
    return reg < 17 ? std::optional(reg * 0x1000) : std::nullopt;
  };
  context.read_memory = [&](uint64_t address, unsigned bytes) {
    ++reads;
    if (bytes < 1 || bytes > 8) abort();
    return address % 16 == 0 ? std::nullopt : std::optional(address / 3);
  };
  EvaluateExpression(expression, std::nullopt, context);
  auto value = EvaluateExpression(expression, 0x7fff0000, context);
  if (reads > 2 * ExpressionContext::kMaxInstructions) abort();
  if (auto simple = ParseRegisterExpression(expression);
      simple && !simple->is_deref && simple->reg < 17) {
    uint64_t expected =
        simple->reg * uint64_t{0x1000} + static_cast<uint64_t>(simple->offset);
    if (!value || *value != expected) abort();
  }
  ParsePltExpression(expression);
  return 0;
}
