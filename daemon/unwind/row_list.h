// RowList: unwind rows in the making: appended, layered, closed up.
//
// Thread: one.
// Bound: kMaxUnwindRows; is_full() then, and later rows are lost.
#ifndef DAEMON_UNWIND_ROW_LIST_H_
#define DAEMON_UNWIND_ROW_LIST_H_

#include <cstdint>
#include <vector>

#include "daemon/unwind/unwind_table.h"

namespace pprofd {

// A range [start, limit) of file offsets.
struct FileRange {
  uint64_t start = 0;
  uint64_t limit = 0;
};

class RowList {
 public:
  const std::vector<UnwindRow>& rows() const { return rows_; }
  bool is_full() const { return is_full_; }
  // Where the rows end so far; appends below it overwrite nothing.
  uint64_t limit() const { return limit_; }
  std::vector<UnwindRow> TakeRows() { return std::move(rows_); }
  void Reserve(size_t count) { rows_.reserve(count); }

  // `rule` holds from `file_offset` on. Offsets below the last row's count as
  // equal to it, where the later rule wins.
  void Append(uint64_t file_offset, uint16_t rule) {
    if (!rows_.empty()) {
      UnwindRow& last = rows_.back();
      if (last.rule == rule) return;
      if (file_offset <= last.file_offset) return Replace(rule);
    } else if (rule == 0) {
      return;
    }
    if (rows_.size() == kMaxUnwindRows) {
      is_full_ = true;
      return;
    }
    rows_.push_back({.file_offset = file_offset, .rule = rule});
  }
  // Ends the rows appended so far.
  void Close(uint64_t file_offset) {
    Append(file_offset, 0);
    if (file_offset > limit_) limit_ = file_offset;
  }

  // Ranges without rows inside `within`, ascending.
  std::vector<FileRange> Gaps(FileRange within) const;
  // Rows of `filler` where this list has none.
  void FillFrom(const RowList& filler);
  // Gives gaps of at most kMaxBridgedBytes between rows to the row before,
  // except the gap that holds `keep`.
  void BridgeGaps(uint64_t keep);

 private:
  void Replace(uint16_t rule) {
    size_t size = rows_.size();
    if (size > 1 ? rows_[size - 2].rule == rule : rule == 0) {
      rows_.pop_back();
    } else {
      rows_.back().rule = rule;
    }
  }

  std::vector<UnwindRow> rows_;
  uint64_t limit_ = 0;
  bool is_full_ = false;
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_ROW_LIST_H_
