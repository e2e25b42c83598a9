// Fuzz target: what files say of allocators: symbols, relocations and code.
//
// Whatever the file, each function's probe lies in the file close behind its
// entry, and what is reported passes for an answer.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "symbolizer/allocator_functions.h"
#include "symbolizer/probe_point.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  auto report = FindAllocatorFunctions({data, size});
  if (!report.ok()) return 0;
  if (report->functions.size() > kMaxAllocatorFunctions) abort();
  if (report->slots.size() > kMaxAllocatorSlots) abort();
  if (report->family.empty() != report->functions.empty()) abort();
  for (const AllocatorFunction& function : report->functions) {
    if (function.probe < function.entry || function.probe.value >= size) {
      abort();
    }
    if (function.probe.value - function.entry.value >= ProbePoint::kMaxBytes) {
      abort();
    }
    if (!function.is_emulated && function.probe != function.entry) abort();
    for (uint8_t number : function.registers) {
      if (number >= 16) abort();
    }
  }
  return 0;
}
