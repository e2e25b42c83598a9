// Fuzz target: jitdumps, which any process may write as it likes.
//
// The first byte says how much of the file is there when it is read first.
// However it is cut, the same is found in the end; names and files found are
// short.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "daemon/base/unique_handle.h"
#include "symbolizer/jit_dump.h"
#include "symbolizer/jit_dump_lines.h"
#include "symbolizer/jit_symbols.h"

namespace {

using pprofd::DemangleStyle;
using pprofd::JitDump;

void Write(int fd, const uint8_t* data, size_t size, size_t offset) {
  if (pwrite(fd, data, size, static_cast<off_t>(offset)) !=
      static_cast<ssize_t>(size)) {
    abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  size_t first = size * data[0] / 256;
  ++data;
  --size;
  if (first > size) first = size;
  pprofd::UniqueFd file(memfd_create("jit.dump", MFD_CLOEXEC));
  JitDump grown;
  Write(file.get(), data, first, 0);
  (void)grown.Update(file.get());
  Write(file.get(), data + first, size - first, first);
  (void)grown.Update(file.get());
  JitDump whole;
  (void)whole.Update(file.get());
  if (grown.function_count() != whole.function_count()) abort();
  for (uint64_t address = 0; address < 0x4000; address += 0x10) {
    auto place = whole.Find(address);
    if (place.has_value() != grown.Find(address).has_value()) abort();
    if (!place) continue;
    if (place->name.empty() || place->name.size() > JitDump::kMaxNameBytes ||
        place->file.size() > pprofd::kMaxFileBytes) {
      abort();
    }
    pprofd::JitSymbolLine(place->name, place->file, place->line,
                          DemangleStyle::kFull);
  }
  return 0;
}
