// ChainTable: the calls at each address of one module that was asked for.
//
// Owns: functions, texts, calls. Thread: one owner.
// Bound: none of its own; size() and bytes() for the owner's bound.
#ifndef SYMBOLIZER_CHAIN_TABLE_H_
#define SYMBOLIZER_CHAIN_TABLE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/model/ids.h"
#include "symbolizer/symbol_pool.h"

namespace pprofd {

class ChainTable {
 public:
  struct Call {
    uint32_t function = 0;  // number in pool()
    uint32_t line = 0;
    uint32_t column = 0;
  };

  SymbolPool& pool() { return pool_; }
  const SymbolPool& pool() const { return pool_; }

  bool Contains(ModuleAddr address) const {
    return chains_.contains(address.value);
  }
  // Innermost first, empty for an address without a name; none where it is not
  // known. Valid until the next change.
  std::optional<std::span<const Call>> Find(ModuleAddr address) const {
    auto it = chains_.find(address.value);
    if (it == chains_.end()) return std::nullopt;
    return std::span(calls_).subspan(it->second.first, it->second.count);
  }

  // REQUIRES: !Contains(address); functions are in pool().
  void Add(ModuleAddr address, std::span<const Call> calls) {
    chains_.emplace(address.value,
                    Chain{.first = static_cast<uint32_t>(calls_.size()),
                          .count = static_cast<uint32_t>(calls.size())});
    calls_.insert(calls_.end(), calls.begin(), calls.end());
  }

  // Functions and texts stay.
  void ClearAddresses() {
    chains_.clear();
    calls_.clear();
  }
  size_t size() const { return chains_.size(); }
  size_t bytes() const {
    return pool_.bytes() + chains_.capacity() * 17 +
           calls_.capacity() * sizeof(Call);
  }

 private:
  struct Chain {
    uint32_t first = 0;
    uint32_t count = 0;
  };

  SymbolPool pool_;
  absl::flat_hash_map<uint64_t, Chain> chains_;  // by address
  std::vector<Call> calls_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_CHAIN_TABLE_H_
