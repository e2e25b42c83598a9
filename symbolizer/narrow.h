// Narrow: a file's number, which may be any, in the bits that we keep.
//
// Thread: pure.
#ifndef SYMBOLIZER_NARROW_H_
#define SYMBOLIZER_NARROW_H_

#include <algorithm>
#include <cstdint>
#include <limits>

namespace pprofd {

// What is more becomes `most`.
template <typename T>
T Narrow(uint64_t value, T most = std::numeric_limits<T>::max()) {
  return static_cast<T>(std::min<uint64_t>(value, most));
}

}  // namespace pprofd

#endif  // SYMBOLIZER_NARROW_H_
