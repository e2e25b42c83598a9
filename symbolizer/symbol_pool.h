// SymbolPool: the functions and texts of one module, each once.
//
// Thread: one owner.
// Bound: none of its own; bytes() for the owner's bound.
#ifndef SYMBOLIZER_SYMBOL_POOL_H_
#define SYMBOLIZER_SYMBOL_POOL_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "symbolizer/string_pool.h"

namespace pprofd {

// Texts are numbers of a StringPool; 0 is "unknown".
struct PooledFunction {
  uint32_t name = 0;          // as the source says: mangled or not
  uint32_t linkage_name = 0;  // mangled
  uint32_t file = 0;
  uint32_t start_line = 0;

  bool operator==(const PooledFunction&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const PooledFunction& f) {
    return H::combine(std::move(h), f.name, f.linkage_name, f.file,
                      f.start_line);
  }
};

class SymbolPool {
 public:
  StringPool& strings() { return strings_; }
  const StringPool& strings() const { return strings_; }

  uint32_t AddFunction(const PooledFunction& function) {
    auto [it, is_new] =
        index_.try_emplace(function, static_cast<uint32_t>(functions_.size()));
    if (is_new) functions_.push_back(function);
    return it->second;
  }
  size_t function_count() const { return functions_.size(); }
  // REQUIRES: `number` came from AddFunction().
  const PooledFunction& function(uint32_t number) const {
    return functions_[number];
  }

  size_t bytes() const {
    return strings_.bytes() + functions_.capacity() * sizeof(PooledFunction) +
           index_.size() * (sizeof(PooledFunction) + 8);
  }

 private:
  StringPool strings_;
  std::vector<PooledFunction> functions_;
  absl::flat_hash_map<PooledFunction, uint32_t> index_;
};

// One call level at an address, before names are made for people.
struct CodeLine {
  PooledFunction function;
  uint32_t line = 0;
  uint32_t column = 0;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_SYMBOL_POOL_H_
