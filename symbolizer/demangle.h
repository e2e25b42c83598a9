// Demangle: linkage names to the names that people write.
//
// Itanium C++ (as GCC and Clang emit it), Rust v0 and Rust legacy, D. Anything
// else comes back unchanged, so Go, C and Swift names may pass through.
//   kNone       _ZN2ns1AIiE3fooEi.isra.0
//   kShort      ns::A::foo               no parameters, arguments of templates,
//                                        type that is returned
//   kTemplates  ns::A<int>::foo          no parameters, no type returned
//   kFull       ns::A<int>::foo(int)
// Suffixes of compiler-made copies (.isra.0, .cold, .llvm.123) are dropped in
// all but kNone: a profile shows a function once. Variants of a constructor or
// destructor (C1, C2, D0, ...) read alike for the same reason. Closures read
// {lambda(int)#1}. In Rust, hashes are dropped, and kShort drops the turbofish
// (`::<T>`) but keeps `<T as Trait>::f`. In D, arguments are never shown.
// Thread: pure.
// Bound: names above kMaxMangledBytes, and those whose demangled form would
//   explode, come back unchanged.
#ifndef SYMBOLIZER_DEMANGLE_H_
#define SYMBOLIZER_DEMANGLE_H_

#include <string>
#include <string_view>

#include "daemon/model/profile_service.h"

namespace pprofd {

inline constexpr size_t kMaxMangledBytes = 4096;

std::string Demangle(const std::string& linkage_name, DemangleStyle style);

// Has the name the form of those that Demangle() may change?
bool LooksMangled(std::string_view name);

// Is it a name of C++ that Demangle() does not understand? Some are too long.
// And GCC numbers what back references refer to in a way of its own if a type
// is computed from a trait (enable_if), and in inherited constructors. Quick
// for all others; a name that is damaged is not found out.
bool ResistsDemangling(const std::string& linkage_name);

// The same for a function that has only the name of the debug information:
// `f<int>`, `ns::<lambda(int)>::operator()`. Names of Go and C stay as they
// are, and so do names above kMaxMangledBytes.
std::string PresentSourceName(const std::string& name, DemangleStyle style);

// Without parameter lists, and without template arguments unless kept; the text
// is what a demangler printed. Exposed for tests.
std::string StripParameters(std::string_view name, bool keep_templates);

}  // namespace pprofd

#endif  // SYMBOLIZER_DEMANGLE_H_
