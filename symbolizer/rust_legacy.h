// DemangleRustLegacy: Rust's first mangling, which looks like Itanium C++.
//
// `_ZN4core3fmt5write17h0123456789abcdefE` is a path of escaped names and a
// hash. Thread: pure. Fails: nothing when the text is no such name.
#ifndef SYMBOLIZER_RUST_LEGACY_H_
#define SYMBOLIZER_RUST_LEGACY_H_

#include <optional>
#include <string>
#include <string_view>

namespace pprofd {

std::optional<std::string> DemangleRustLegacy(std::string_view name);

}  // namespace pprofd

#endif  // SYMBOLIZER_RUST_LEGACY_H_
