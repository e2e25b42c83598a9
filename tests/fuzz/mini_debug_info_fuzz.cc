// Fuzz target: .gnu_debugdata, the packed symbol table of stripped files.
//
// An ELF file is taken as it is. Of anything else, whatever follows the first
// byte becomes the section: as it is, or packed here if that byte is odd, since
// checksums keep most mutations out of a stream of xz.

#include <lzma.h>

#include "daemon/unwind/test_elf.h"
#include "symbolizer/mini_debug_info.h"
#include "symbolizer/symbol_table.h"
#include "tests/fuzz/fuzz_input.h"

namespace pprofd {
namespace {

TestBytes Pack(std::span<const uint8_t> bytes) {
  TestBytes packed(lzma_stream_buffer_bound(bytes.size()));
  size_t size = 0;
  if (lzma_easy_buffer_encode(0, LZMA_CHECK_NONE, nullptr, bytes.data(),
                              bytes.size(), packed.data(), &size,
                              packed.size()) != LZMA_OK) {
    abort();
  }
  packed.resize(size);
  return packed;
}

void Read(std::span<const uint8_t> bytes) {
  auto elf = ElfFile::Parse(bytes);
  if (!elf.ok()) return;
  SymbolTable own = SymbolTable::Read(*elf);
  auto mini = MiniDebugInfo::Open(*elf);
  if (!mini.ok()) return;
  SymbolTable packed = SymbolTable::Read(mini->elf(), &own);
  for (ModuleAddr address : SomeAddresses(*elf)) {
    if (auto name = packed.Find(address)) NameAt(mini->elf(), *name);
  }
}

}  // namespace
}  // namespace pprofd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  std::span<const uint8_t> input(data, size);
  if (ElfFile::Parse(input).ok()) {
    Read(input);
  } else if (!input.empty()) {
    std::span<const uint8_t> rest = input.subspan(1);
    TestElf elf(TestBytes(64, 0x90));
    elf.AddSection(".gnu_debugdata", (input[0] & 1) != 0
                                         ? Pack(rest)
                                         : TestBytes(rest.begin(), rest.end()));
    Read(elf.Build());
  }
  return 0;
}
