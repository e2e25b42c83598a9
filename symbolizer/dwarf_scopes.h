// ScopeTable: which namespaces, types and functions enclose a DIE of a C++
// unit.
//
// GCC gives functions that no other unit can see (lambdas, members of local
// types, templates over either) no linkage name, so that their full names have
// to be put together. DIEs know their children only, hence this table.
// Functions are in it only if they hold types. Thread: immutable once built.
// Bound: 12 bytes per scope; the DIEs of a unit bound their number.
#ifndef SYMBOLIZER_DWARF_SCOPES_H_
#define SYMBOLIZER_DWARF_SCOPES_H_

#include <algorithm>
#include <cstdint>
#include <vector>

namespace pprofd {

// Offsets are from the first DIE of the unit.
struct Scope {
  static constexpr uint32_t kNone = UINT32_MAX;

  uint32_t start = 0;
  uint32_t end = UINT32_MAX;
  uint32_t parent = kNone;  // number of the enclosing scope
};

class ScopeTable {
 public:
  // Scopes are added by start.
  uint32_t Add(uint32_t start, uint32_t parent) {
    scopes_.push_back({.start = start, .parent = parent});
    return static_cast<uint32_t>(scopes_.size() - 1);
  }
  void Close(uint32_t number, uint32_t end) { scopes_[number].end = end; }

  const Scope& scope(uint32_t number) const { return scopes_[number]; }
  // The innermost scope around the DIE at `offset`, itself excluded; kNone.
  uint32_t FindAround(uint32_t offset) const {
    auto after = std::lower_bound(
        scopes_.begin(), scopes_.end(), offset,
        [](const Scope& scope, uint32_t value) { return scope.start < value; });
    if (after == scopes_.begin()) return Scope::kNone;
    auto number = static_cast<uint32_t>(after - scopes_.begin() - 1);
    while (number != Scope::kNone && scopes_[number].end <= offset) {
      number = scopes_[number].parent;
    }
    return number;
  }
  void Shrink() { scopes_.shrink_to_fit(); }
  size_t bytes() const { return scopes_.capacity() * sizeof(Scope); }

 private:
  std::vector<Scope> scopes_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_DWARF_SCOPES_H_
