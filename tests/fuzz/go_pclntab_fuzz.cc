// Fuzz target: .gopclntab, Go's table of functions, lines and stack depths.
//
// An input that is no ELF file is the table of one that is made here. Names and
// unwind rows come out, the rows ascending.

#include <cstdlib>

#include "daemon/unwind/go_functions.h"
#include "daemon/unwind/test_elf.h"
#include "daemon/unwind/unwind_table.h"
#include "symbolizer/go_pclntab.h"
#include "tests/fuzz/fuzz_input.h"

namespace pprofd {
namespace {

void Read(std::span<const uint8_t> bytes) {
  auto elf = ElfFile::Parse(bytes);
  if (!elf.ok()) return;
  if (auto table = GoPclntab::Open(*elf)) {
    for (ModuleAddr address : SomeAddresses(*elf)) {
      for (const GoLine& line : table->Find(address)) {
        if (line.function.empty()) abort();
      }
    }
  }
  auto table = BuildUnwindTable(bytes);
  for (size_t i = 1; table.ok() && i < table->rows.size(); ++i) {
    if (table->rows[i - 1].file_offset >= table->rows[i].file_offset) abort();
  }
}

}  // namespace
}  // namespace pprofd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  std::span<const uint8_t> input(data, size);
  if (ElfFile::Parse(input).ok()) {
    Read(input);
    return 0;
  }
  TestElf elf(TestBytes(512, 0x55));
  elf.AddSection(".gopclntab", TestBytes(input.begin(), input.end()), 0x800000);
  Read(elf.Build());
  return 0;
}
