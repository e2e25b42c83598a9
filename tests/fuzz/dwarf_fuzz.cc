// Fuzz target: DWARF of an executed file: units, DIEs, line programs, names.
//
// Any answer will do, as long as it comes and its chains match the addresses.

#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "daemon/base/unique_handle.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/symbolizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  auto elf = ElfFile::Parse({data, size});
  if (!elf.ok()) return 0;
  std::vector<ModuleAddr> addresses;
  for (const LoadSegment& segment : elf->load_segments()) {
    for (uint64_t step = 0; step < 256 && addresses.size() < 1024; step += 3) {
      addresses.push_back({segment.address.value + step});
    }
  }
  UniqueFd fd(memfd_create("dwarf_fuzz", MFD_CLOEXEC));
  if (!fd || write(fd.get(), data, size) != static_cast<ssize_t>(size)) {
    return 0;
  }
  Symbolizer::Options options;
  options.debug_roots.clear();
  Symbolizer symbolizer(options);
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  ModuleSymbols symbols = symbolizer.SymbolizeModule(
      fd.get(), "fuzz", "fuzz", "", addresses, DemangleStyle::kShort, deadline);
  if (symbols.size() != addresses.size()) abort();
  return 0;
}
