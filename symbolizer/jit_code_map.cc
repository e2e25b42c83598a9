#include "symbolizer/jit_code_map.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace pprofd {
namespace {
// Fewer dead functions than this are not worth the work.
constexpr size_t kMinDead = 1024;
}  // namespace

size_t JitCodeMap::bytes() const {
  constexpr size_t kTreeOverhead = 8;  // of half-filled nodes, per piece
  return functions_.capacity() * sizeof(Function) +
         lines_.capacity() * sizeof(PooledLine) + pool_->bytes() +
         pieces_.size() * (sizeof(uint64_t) + sizeof(Piece) + kTreeOverhead) +
         by_index_.capacity() * (sizeof(std::pair<uint64_t, uint32_t>) + 1);
}

void JitCodeMap::Load(const Code& code, std::span<const Line> lines) {
  if (code.size == 0) return;
  auto number = static_cast<uint32_t>(functions_.size());
  functions_.push_back({.start = code.start,
                        .size = code.size,
                        .index = code.index,
                        .name = pool_->Add(code.name),
                        .first_line = static_cast<uint32_t>(lines_.size()),
                        .line_count = static_cast<uint32_t>(lines.size())});
  for (const Line& line : lines) {
    lines_.push_back({line.offset, line.line, pool_->Add(line.file)});
  }
  by_index_.insert_or_assign(code.index, number);
  ++dead_;  // until Lay()
  Lay(number);
  Shrink();
}

bool JitCodeMap::Move(uint64_t index, uint64_t from, uint64_t to) {
  auto known = by_index_.find(index);
  if (known == by_index_.end()) return false;
  uint32_t number = known->second;
  Function& function = functions_[number];
  if (function.start != from || to > UINT64_MAX - function.size) return false;
  // What is left of it at the old place.
  for (auto it = pieces_.lower_bound(from);
       it != pieces_.end() && it->first < from + function.size;) {
    if (it->second.function != number) {
      ++it;
      continue;
    }
    it = pieces_.erase(it);
    DropPiece(number);
  }
  function.start = to;
  Lay(number);
  return true;
}

// REQUIRES: no piece of the function is left.
void JitCodeMap::Lay(uint32_t number) {
  Function& function = functions_[number];
  Cut(function.start, function.start + function.size);
  pieces_[function.start] = {function.start + function.size, number};
  function.pieces = 1;
  --dead_;
  if (function.line_count > 0) ++with_lines_;
}

void JitCodeMap::Cut(uint64_t start, uint64_t end) {
  auto next = pieces_.lower_bound(start);
  if (next != pieces_.begin()) {
    Piece& before = std::prev(next)->second;
    if (before.end > start) {
      Piece tail = before;
      before.end = start;
      if (tail.end > end) {  // lies within an older piece
        pieces_[end] = tail;
        ++functions_[tail.function].pieces;
        return;
      }
    }
  }
  next = pieces_.lower_bound(start);
  while (next != pieces_.end() && next->first < end) {
    Piece piece = next->second;
    next = pieces_.erase(next);
    if (piece.end > end) {
      pieces_[end] = piece;
      return;
    }
    DropPiece(piece.function);
  }
}

void JitCodeMap::DropPiece(uint32_t number) {
  Function& function = functions_[number];
  if (--function.pieces > 0) return;
  ++dead_;
  if (function.line_count > 0) --with_lines_;
}

void JitCodeMap::Shrink() {
  if (dead_ > kMinDead && dead_ > functions_.size() / 2) Rebuild(0);
  if (bytes() <= kMaxBytes) return;
  Rebuild(0);
  while (bytes() > kMaxBytes / 4 * 3 && functions_.size() > 1) {
    Rebuild((functions_.size() + 3) / 4);
  }
}

// Keeps what is not dead of the functions from `first` on.
void JitCodeMap::Rebuild(size_t first) {
  JitCodeMap kept;
  kept.forgotten_ = forgotten_;
  std::vector<uint32_t> new_numbers(functions_.size(), UINT32_MAX);
  for (size_t i = 0; i < functions_.size(); ++i) {
    Function function = functions_[i];
    if (function.pieces == 0) continue;
    if (i < first) {
      ++kept.forgotten_;
      continue;
    }
    new_numbers[i] = static_cast<uint32_t>(kept.functions_.size());
    auto lines =
        std::span(lines_).subspan(function.first_line, function.line_count);
    function.first_line = static_cast<uint32_t>(kept.lines_.size());
    for (PooledLine line : lines) {
      line.file = kept.pool_->Add(pool_->Get(line.file));
      kept.lines_.push_back(line);
    }
    function.name = kept.pool_->Add(pool_->Get(function.name));
    kept.by_index_.insert_or_assign(function.index, new_numbers[i]);
    if (function.line_count > 0) ++kept.with_lines_;
    kept.functions_.push_back(function);
  }
  for (const auto& [start, piece] : pieces_) {
    uint32_t number = new_numbers[piece.function];
    if (number == UINT32_MAX) continue;
    kept.pieces_.emplace_hint(kept.pieces_.end(), start,
                              Piece{piece.end, number});
  }
  *this = std::move(kept);
}

std::optional<JitCodeMap::Place> JitCodeMap::Find(uint64_t address) const {
  auto next = pieces_.upper_bound(address);
  if (next == pieces_.begin()) return std::nullopt;
  const Piece& piece = std::prev(next)->second;
  if (address >= piece.end) return std::nullopt;
  const Function& function = functions_[piece.function];
  Place place{.name = pool_->Get(function.name), .file = {}, .line = 0};
  auto lines =
      std::span(lines_).subspan(function.first_line, function.line_count);
  if (lines.empty()) return place;
  auto after =
      std::upper_bound(lines.begin(), lines.end(), address - function.start,
                       [](uint64_t offset, const PooledLine& line) {
                         return offset < line.offset;
                       });
  const PooledLine& line = after == lines.begin() ? *after : *std::prev(after);
  place.file = pool_->Get(line.file);
  place.line = line.line;
  return place;
}

}  // namespace pprofd
