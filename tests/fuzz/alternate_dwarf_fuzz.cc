// Fuzz target: DWARF that refers to an alternate file, both in one input.
//
// The link between them is parsed but not followed, so that it may be broken.

#include <optional>
#include <utility>

#include "symbolizer/alternate_file.h"
#include "symbolizer/dwarf_index.h"
#include "tests/fuzz/fuzz_input.h"

namespace pprofd {
namespace {

std::unique_ptr<DwarfFile> OpenDwarf(std::span<const uint8_t> bytes,
                                     std::unique_ptr<DwarfFile> alternate) {
  if (bytes.empty()) return nullptr;
  auto map = MapFile(MemoryFile(bytes).get());
  if (!map.ok()) return nullptr;
  auto file = DwarfFile::Open(std::move(*map), std::move(alternate));
  return file.ok() ? std::move(*file) : nullptr;
}

void FindAll(DwarfFile& file, const std::vector<ModuleAddr>& addresses) {
  SplitFiles split_files({.module_path = "fuzz", .root = "", .debug_roots = {}},
                         "");
  SymbolPool pool;
  DwarfIndex index(file, split_files);
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  for (ModuleAddr address : addresses) {
    std::vector<CodeLine> lines;
    index.Find(file, pool, address, deadline, lines);
  }
  index.EndBatch();
}

}  // namespace
}  // namespace pprofd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  TwoParts files = SplitInput({data, size});
  auto elf = ElfFile::Parse(files.first);
  if (!elf.ok()) return 0;
  ReadAlternateLink(*elf);
  std::unique_ptr<DwarfFile> file =
      OpenDwarf(files.first, OpenDwarf(files.second, nullptr));
  if (file != nullptr) FindAll(*file, SomeAddresses(*elf));
  return 0;
}
