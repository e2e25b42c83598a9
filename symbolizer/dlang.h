// DemangleDlang: linkage names of D to qualified names.
//
// _D3app7Counter__T3addTiZQhMFiZv reads app.Counter.add. Template arguments and
// parameters are read to find where names go on, and not shown in any style; a
// template and its member of the same name are one; constructors are this.
// Written here because the demangler that reads the other languages knows D's
// variables only. Thread: pure. Bound: kMaxDlangBytes of name and of text; the
// nesting, and the steps that
//   ambiguous names take.
// Fails: nothing for what is not a whole D name.
#ifndef SYMBOLIZER_DLANG_H_
#define SYMBOLIZER_DLANG_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pprofd {

inline constexpr size_t kMaxDlangBytes = 4096;

std::optional<std::string> DemangleDlang(std::string_view linkage_name);

}  // namespace pprofd

#endif  // SYMBOLIZER_DLANG_H_
