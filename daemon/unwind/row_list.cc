#include "daemon/unwind/row_list.h"

#include <algorithm>

namespace pprofd {
namespace {

constexpr uint64_t kEndOfFile = uint64_t{1} << 47;

auto FirstRowAfter(const std::vector<UnwindRow>& rows, uint64_t file_offset) {
  return std::upper_bound(rows.begin(), rows.end(), file_offset,
                          [](uint64_t value, const UnwindRow& row) {
                            return value < row.file_offset;
                          });
}

}  // namespace

std::vector<FileRange> RowList::Gaps(FileRange within) const {
  std::vector<FileRange> gaps;
  auto next = FirstRowAfter(rows_, within.start);
  uint64_t start = within.start;
  bool is_gap = next == rows_.begin() || (next - 1)->rule == 0;
  for (; start < within.limit; ++next) {
    uint64_t limit = next == rows_.end()
                         ? within.limit
                         : std::min<uint64_t>(next->file_offset, within.limit);
    if (is_gap && start < limit) gaps.push_back({start, limit});
    if (next == rows_.end()) break;
    start = limit;
    is_gap = next->rule == 0;
  }
  return gaps;
}

void RowList::FillFrom(const RowList& filler) {
  if (filler.rows_.empty()) return;
  RowList merged;
  merged.rows_.reserve(rows_.size() + filler.rows_.size());
  // Copies the filler's rows for the gap [start, limit).
  auto fill = [&](uint64_t start, uint64_t limit) {
    auto row = FirstRowAfter(filler.rows_, start);
    merged.Append(start, row == filler.rows_.begin() ? 0 : (row - 1)->rule);
    for (; row != filler.rows_.end() && row->file_offset < limit; ++row) {
      merged.Append(row->file_offset, row->rule);
    }
  };
  fill(0, rows_.empty() ? kEndOfFile : rows_.front().file_offset);
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i].rule != 0) {
      merged.Append(rows_[i].file_offset, rows_[i].rule);
    } else {
      fill(rows_[i].file_offset,
           i + 1 < rows_.size() ? rows_[i + 1].file_offset : kEndOfFile);
    }
  }
  merged.limit_ = std::max(limit_, filler.limit_);
  merged.is_full_ = merged.is_full_ || is_full_ || filler.is_full_;
  *this = std::move(merged);
}

void RowList::BridgeGaps(uint64_t keep) {
  size_t kept = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i].rule == 0 && i + 1 < rows_.size()) {
      uint64_t start = rows_[i].file_offset;
      uint64_t limit = rows_[i + 1].file_offset;
      bool holds_keep = start <= keep && keep < limit;
      if (limit - start <= kMaxBridgedBytes && !holds_keep) continue;
    }
    if (kept > 0 && rows_[kept - 1].rule == rows_[i].rule) continue;
    rows_[kept++] = rows_[i];
  }
  rows_.resize(kept);
}

}  // namespace pprofd
