// StringPool: each text once, named by a number; 0 is the empty text.
//
// Thread: one owner.
// Bound: none of its own; bytes() for the owner's bound.
#ifndef SYMBOLIZER_STRING_POOL_H_
#define SYMBOLIZER_STRING_POOL_H_

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace pprofd {

class StringPool {
 public:
  StringPool() { Add(""); }
  StringPool(const StringPool&) = delete;
  StringPool& operator=(const StringPool&) = delete;

  uint32_t Add(std::string_view text) {
    if (auto it = index_.find(text); it != index_.end()) return it->second;
    auto number = static_cast<uint32_t>(texts_.size());
    const std::string& kept = texts_.emplace_back(text);
    index_.emplace(kept, number);
    bytes_ += kept.capacity() + sizeof(std::string) + 32;
    return number;
  }
  // REQUIRES: `number` came from Add().
  const std::string& Get(uint32_t number) const { return texts_[number]; }
  size_t size() const { return texts_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  std::deque<std::string> texts_;  // addresses stay
  absl::flat_hash_map<std::string_view, uint32_t> index_;
  size_t bytes_ = 0;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_STRING_POOL_H_
