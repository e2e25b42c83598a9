// Fuzz target: answers of the symbolizer's process, which a file may have taken
// over.
//
// The first byte says which message. What is let through keeps its promises:
// numbers that exist, rows that ascend.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "symbolizer/service/wire.h"

namespace pprofd {
namespace {

constexpr size_t kWanted = 4;

void Check(const ModuleSymbols& symbols) {
  if (symbols.size() != kWanted) abort();
  for (size_t i = 0; i < symbols.size(); ++i) symbols.Chain(i);
  for (const ModuleSymbols::Call& call : symbols.calls) {
    if (call.function >= symbols.functions.size()) abort();
  }
}

void Check(const UnwindTable& table) {
  for (size_t i = 0; i < table.rows.size(); ++i) {
    if (table.rows[i].rule >= table.rules.size()) abort();
    if (i > 0 && table.rows[i - 1].file_offset >= table.rows[i].file_offset) {
      abort();
    }
  }
  table.RuleAt({0});
  table.RuleAt({1 << 20});
}

void Check(const UnwoundStack& stack) {
  if (stack.frames.size() > PPROFD_MAX_USER_FRAMES) abort();
}

void Check(const AllocatorReport& report) {
  for (const AllocatorFunction& function : report.functions) {
    if (function.probe < function.entry) abort();
    for (uint8_t number : function.registers) {
      if (number >= 16) abort();
    }
  }
}

template <typename Message>
bool Parse(const uint8_t* data, size_t size, Message& message) {
  return message.ParseFromArray(data, static_cast<int>(size));
}

}  // namespace
}  // namespace pprofd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  if (size == 0) return 0;
  const uint8_t kind = data[0] % 6;
  ++data;
  --size;
  if (wire::Names names; kind == 0 && Parse(data, size, names)) {
    if (auto symbols = FromWire(names, kWanted); symbols.ok()) Check(*symbols);
  }
  if (wire::Table message; kind == 1 && Parse(data, size, message)) {
    if (auto table = FromWire(message); table.ok()) Check(*table);
  }
  if (wire::UnwoundStack message; kind == 2 && Parse(data, size, message)) {
    if (auto stack = FromWire(message); stack.ok()) Check(*stack);
  }
  if (wire::Description message; kind == 3 && Parse(data, size, message)) {
    FromWire(message);
  }
  if (wire::Sources message; kind == 4 && Parse(data, size, message)) {
    FromWire(message);
  }
  if (wire::Allocator message; kind == 5 && Parse(data, size, message)) {
    if (auto report = FromWire(message); report.ok()) Check(*report);
  }
  return 0;
}
