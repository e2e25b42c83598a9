// Fuzz target: what a file says of others: build ID, debug link, alternate
// link.
//
// Names of debug links cannot leave a folder, and IDs are short.

#include <cstdlib>

#include "symbolizer/alternate_file.h"
#include "symbolizer/debug_files.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  constexpr size_t kMaxIdBytes = 64;
  auto elf = ElfFile::Parse({data, size});
  if (!elf.ok()) return 0;
  if (auto link = ReadDebugLink(*elf)) {
    bool is_plain = !link->name.empty() &&
                    link->name.find('/') == std::string::npos &&
                    link->name != "..";
    if (!is_plain) abort();
  }
  if (auto link = ReadAlternateLink(*elf)) {
    if (link->path.empty() || link->identity.empty()) abort();
    if (link->identity.Hex().size() > 2 * kMaxIdBytes) abort();
  }
  BuildId build_id = elf->build_id();
  if (build_id.Hex().size() > 2 * kMaxIdBytes) abort();
  BuildIdPaths(build_id,
               {.module_path = "", .root = "", .debug_roots = {"/debug"}});
  return 0;
}
