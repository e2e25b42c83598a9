// JitCodeMap: which function's code is at an address now.
//
// Just-in-time compilers throw code away and use its memory again, often
// without a word: whatever was told last of an address holds, and what it
// covers of older code is forgotten.
// Owns: functions, their names and lines.
// Thread: one owner.
// Bound: kMaxBytes; beyond, the functions told first are forgotten and counted.
#ifndef SYMBOLIZER_JIT_CODE_MAP_H_
#define SYMBOLIZER_JIT_CODE_MAP_H_

#include <absl/container/btree_map.h>
#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "symbolizer/string_pool.h"

namespace pprofd {

class JitCodeMap {
 public:
  static constexpr size_t kMaxBytes = 32 << 20;

  // From `offset` in the code on.
  struct Line {
    uint32_t offset = 0;
    uint32_t line = 0;
    std::string_view file;
  };
  struct Code {
    uint64_t start = 0;
    uint64_t size = 0;
    uint64_t index = 0;  // by which it can be moved
    std::string_view name;
  };
  // Good until the map is changed.
  struct Place {
    std::string_view name;
    std::string_view file;  // "" unknown
    uint32_t line = 0;      // 0 unknown
  };

  JitCodeMap() = default;

  // `lines` ascend by offset. REQUIRES: start + size does not overflow.
  void Load(const Code& code, std::span<const Line> lines);
  // False when there is no such code, or `to` is too high for it.
  bool Move(uint64_t index, uint64_t from, uint64_t to);
  // Code before its first line is part of that line.
  std::optional<Place> Find(uint64_t address) const;

  // Functions of which there is code.
  size_t function_count() const { return functions_.size() - dead_; }
  // Of those, with lines.
  size_t count_with_lines() const { return with_lines_; }
  uint64_t forgotten_count() const { return forgotten_; }
  size_t bytes() const;

 private:
  struct Function {
    uint64_t start = 0;
    uint64_t size = 0;
    uint64_t index = 0;
    uint32_t name = 0;  // in the pool
    uint32_t first_line = 0;
    uint32_t line_count = 0;
    uint32_t pieces = 0;  // of its code that are left
  };
  struct PooledLine {
    uint32_t offset = 0;
    uint32_t line = 0;
    uint32_t file = 0;  // in the pool
  };
  // A stretch of code, from its key on.
  struct Piece {
    uint64_t end = 0;
    uint32_t function = 0;
  };

  void Lay(uint32_t function);
  void Cut(uint64_t start, uint64_t end);
  void DropPiece(uint32_t function);
  void Shrink();
  void Rebuild(size_t first);

  std::vector<Function> functions_;  // in the order in which they were told
  std::vector<PooledLine> lines_;
  std::unique_ptr<StringPool> pool_ = std::make_unique<StringPool>();
  absl::btree_map<uint64_t, Piece> pieces_;           // disjoint
  absl::flat_hash_map<uint64_t, uint32_t> by_index_;  // the last of an index
  size_t dead_ = 0;  // functions without a piece
  size_t with_lines_ = 0;
  uint64_t forgotten_ = 0;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_JIT_CODE_MAP_H_
