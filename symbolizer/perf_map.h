// PerfMap: JIT symbols from the text of a perf-PID.map file.
//
// Each line is "START SIZE NAME" in hexadecimal. Compilers append: where ranges
// overlap, the later line is the code that lives there now.
// Thread: immutable once parsed.
// Bound: kMaxBytes of text, kMaxSymbols; of a longer file its newest end is
// read.
#ifndef SYMBOLIZER_PERF_MAP_H_
#define SYMBOLIZER_PERF_MAP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/status.h"
#include "symbolizer/range_map.h"

namespace pprofd {

class PerfMap {
 public:
  static constexpr size_t kMaxBytes = 64 << 20;
  static constexpr size_t kMaxSymbols = 1 << 20;
  static constexpr size_t kMaxNameBytes = 1024;

  PerfMap() = default;
  // Lines that make no sense are skipped.
  static PerfMap Parse(std::string_view text);
  // Reads the last kMaxBytes of a regular file.
  static Result<PerfMap> Read(int fd);

  std::optional<std::string_view> Find(uint64_t address) const;
  size_t symbol_count() const { return names_.size(); }
  size_t bytes() const {
    return ranges_.bytes() + names_.capacity() * sizeof(Name) +
           text_.capacity();
  }

 private:
  struct Name {
    uint32_t offset = 0;  // in text_
    uint32_t size = 0;
  };

  RangeMap ranges_;  // value: number of a name
  std::vector<Name> names_;
  std::string text_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_PERF_MAP_H_
