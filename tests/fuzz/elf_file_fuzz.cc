// Fuzz target: ELF headers, sections and symbol tables, which come with
// whatever file a process executes.
//
// Contents that are handed out lie inside the file or in the storage given, and
// addresses that convert to offsets convert back.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "symbolizer/elf_file.h"
#include "symbolizer/go_pclntab.h"
#include "symbolizer/plt_names.h"
#include "symbolizer/symbol_table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  auto file = ElfFile::Parse({data, size});
  if (!file.ok()) return 0;
  file->build_id();
  for (const ElfSection& section : file->sections()) {
    std::vector<uint8_t> storage;
    auto bytes = file->ReadSection(section, storage, 1 << 20);
    if (!bytes.ok() || bytes->empty()) continue;
    bool is_view = bytes->data() >= data && bytes->data() < data + size &&
                   bytes->size() <= size;
    if (!is_view && bytes->data() != storage.data()) abort();
  }
  SymbolTable symbols = SymbolTable::Read(*file);
  auto go = GoPclntab::Open(*file);
  for (const LoadSegment& segment : file->load_segments()) {
    for (uint64_t step : {0, 1, 16, 100, 4096}) {
      ModuleAddr address{segment.address.value + step};
      if (auto offset = file->ToFileOffset(address)) {
        if (!file->ToModuleAddr(*offset)) abort();
      }
      if (auto name = symbols.Find(address)) NameAt(*file, *name);
      if (go) go->Find(address);
      PltName(*file, address);
    }
  }
  return 0;
}
