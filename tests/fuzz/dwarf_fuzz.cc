// Fuzz target: DWARF of an executed file: units, DIEs, line programs, names.
//
// Any answer will do, as long as it comes and its chains match the addresses.

#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pprofd::SymbolizeBytes({data, size}, "fuzz");
  return 0;
}
