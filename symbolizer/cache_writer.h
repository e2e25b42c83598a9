// CacheWriter: collects addresses and their calls, and makes a cache file.
//
// Equal texts, functions and calls are kept once, and so are callers that
// several inlined calls share. The same content gives the same bytes, in
// whichever order it came.
// Owns: copies. Thread: one owner.
// Bound: what is refused once a file could exceed kMaxCacheFileBytes: give it
//   what matters most first.
#ifndef SYMBOLIZER_CACHE_WRITER_H_
#define SYMBOLIZER_CACHE_WRITER_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "symbolizer/cache_file.h"
#include "symbolizer/symbol_pool.h"

namespace pprofd {

class CacheWriter {
 public:
  // The number that Call::function means here; none: a text is too long.
  std::optional<uint32_t> AddFunction(std::string_view name,
                                      std::string_view linkage_name,
                                      std::string_view file,
                                      uint32_t start_line);

  // Innermost call first. What is known of an address already stays. False:
  // there is no room for it. A chain of more than kMaxCachedCalls is left out.
  bool Add(uint64_t address, std::span<const CacheFile::Call> calls);

  size_t address_count() const { return addresses_.size(); }

  std::vector<uint8_t> Finish() const;

 private:
  struct Node {
    uint32_t parent = 0;  // number + 1; 0: none
    CacheFile::Call call;

    bool operator==(const Node& other) const {
      return parent == other.parent && call.function == other.call.function &&
             call.line == other.call.line && call.column == other.call.column;
    }
    template <typename H>
    friend H AbslHashValue(H h, const Node& node) {
      return H::combine(std::move(h), node.parent, node.call.function,
                        node.call.line, node.call.column);
    }
  };
  class Numbering;

  uint32_t AddText(std::string_view text);

  SymbolPool pool_;
  size_t function_count_ = 0;
  std::vector<Node> nodes_;
  absl::flat_hash_map<Node, uint32_t> node_index_;
  absl::flat_hash_map<uint64_t, uint32_t> addresses_;  // number + 1 of a node
  uint64_t max_bytes_ = 0;  // that the tables can take
};

}  // namespace pprofd

#endif  // SYMBOLIZER_CACHE_WRITER_H_
