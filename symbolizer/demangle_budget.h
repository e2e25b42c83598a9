// Demangle budgets: may this name be demangled at all?
//
// References to earlier parts let a mangled name of 200 bytes stand for
// gigabytes, and demanglers print without a limit. Here a name is parsed once
// more, only to add up what would be printed, each part once.
// Thread: pure. False as well for names that do not parse.
#ifndef SYMBOLIZER_DEMANGLE_BUDGET_H_
#define SYMBOLIZER_DEMANGLE_BUDGET_H_

#include <string_view>

namespace pprofd {

// For C++ (Itanium) names.
bool IsWithinDemangleBudget(std::string_view mangled);
// For Rust v0 names.
bool IsWithinRustDemangleBudget(std::string_view mangled);

}  // namespace pprofd

#endif  // SYMBOLIZER_DEMANGLE_BUDGET_H_
