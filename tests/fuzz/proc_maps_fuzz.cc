// Fuzz target: /proc/PID/maps, whose names and lines a process chooses.
//
// Whatever the pieces in which the text comes, the answer is the same, and each
// mapping kept is a range that can be found again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "daemon/process/proc_maps.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  ProcMaps whole = ParseProcMaps(text);

  ProcMapsParser parser;
  const size_t piece = size == 0 ? 1 : 1 + data[0] % 97;
  for (size_t at = 0; at < text.size(); at += piece) {
    parser.Feed(text.substr(at, piece));
  }
  ProcMaps pieces = parser.Finish();
  if (pieces.mappings.size() != whole.mappings.size() ||
      pieces.line_count != whole.line_count ||
      pieces.malformed_count != whole.malformed_count) {
    abort();
  }
  for (size_t i = 0; i < whole.mappings.size(); ++i) {
    const ProcMapping& mapping = whole.mappings[i];
    if (mapping.start >= mapping.limit ||
        mapping.path != pieces.mappings[i].path ||
        whole.Find(mapping.start) == nullptr) {
      abort();
    }
  }
  return 0;
}
