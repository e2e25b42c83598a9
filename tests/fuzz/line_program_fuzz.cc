// Fuzz target: .debug_line alone, its text in the second part of the input.
//
// Rows found belong to their address, and paths come back short.

#include <cstdlib>

#include "symbolizer/line_program.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  constexpr size_t kMaxPathBytes = 16 << 10;
  TwoParts parts = SplitInput({data, size});
  LineSections sections{
      .line = parts.first, .str = parts.second, .line_str = parts.second};
  for (uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{64}}) {
    auto header = LineHeader::Parse(sections, offset);
    if (!header) continue;
    for (uint64_t file = 0; file <= header->files.size() && file < 64; ++file) {
      if (header->Path(file, "/folder").size() > kMaxPathBytes) abort();
    }
    LineTable table(*header, [](uint64_t address) { return address >= 16; });
    for (uint64_t address = 0; address < 0x2000; address += 5) {
      const LineRow* row = table.Find(address);
      if (row != nullptr && address < 16) abort();
    }
    table.Find(UINT64_MAX);
  }
  return 0;
}
