// Fuzz target: /proc/kallsyms, where loaded programs choose names.
//
// Whatever the pieces in which the text comes, the answer is the same.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "symbolizer/kallsyms.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  KallsymsTable whole;
  whole.Append(text);
  whole.Finish();
  KallsymsTable pieces;
  const size_t piece = size == 0 ? 1 : 1 + data[0] % 97;
  for (size_t at = 0; at < text.size(); at += piece) {
    pieces.Append(text.substr(at, piece));
  }
  pieces.Finish();
  bool has_long_lines = size > 4096;  // cut differently
  if (has_long_lines) return 0;
  if (whole.symbol_count() != pieces.symbol_count() ||
      whole.is_hidden() != pieces.is_hidden()) {
    abort();
  }
  for (uint64_t address = 0; address < 0x400; ++address) {
    for (uint64_t base : {uint64_t{0}, uint64_t{0xffffffff81000000}}) {
      auto symbol = whole.Find(base + address);
      auto other = pieces.Find(base + address);
      if (symbol.has_value() != other.has_value()) abort();
      if (symbol && symbol->name != other->name) abort();
    }
  }
  return 0;
}
