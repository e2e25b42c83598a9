// Fuzz target: names, mangled and not, which are whatever a file says.
//
// No name grows beyond a bound in any style.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "symbolizer/demangle.h"
#include "symbolizer/v8_name.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  constexpr size_t kMaxShownBytes = 1 << 20;
  const std::string name(reinterpret_cast<const char*>(data), size);
  for (DemangleStyle style :
       {DemangleStyle::kNone, DemangleStyle::kShort, DemangleStyle::kTemplates,
        DemangleStyle::kFull}) {
    if (Demangle(name, style).size() > kMaxShownBytes + size) abort();
    if (PresentSourceName(name, style).size() > kMaxShownBytes + size) abort();
  }
  if (StripParameters(name, false).size() > size) abort();
  if (auto parts = ParseV8Name(name); parts && parts->function.empty()) abort();
  return 0;
}
