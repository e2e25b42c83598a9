// Fuzz target: perf maps, which any process may write as it likes.
//
// Names found are short, and names of the demangler come back at all.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "symbolizer/demangle.h"
#include "symbolizer/perf_map.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  PerfMap map = PerfMap::Parse({reinterpret_cast<const char*>(data), size});
  for (uint64_t address = 0; address < 0x4000; address += 0x10) {
    auto name = map.Find(address);
    if (!name) continue;
    if (name->empty() || name->size() > PerfMap::kMaxNameBytes) abort();
    for (DemangleStyle style : {DemangleStyle::kShort, DemangleStyle::kFull}) {
      Demangle(std::string(*name), style);
    }
  }
  return 0;
}
