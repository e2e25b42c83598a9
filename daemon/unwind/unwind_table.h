// UnwindTable: a module's unwind rows, in file offsets, so that it holds for
// every process that maps the file.
//
// Rows come, in this order, from .eh_frame, from signal trampolines found by
// their bytes, from Go's function table or else from .debug_frame; a later
// source only fills what earlier ones leave free. Equal neighbours are one row;
// free ranges of at most kMaxBridgedBytes between rows (padding) belong to the
// row before them. Owns: rows and rules. Thread: value. Bound: kMaxUnwindRows
// rows; PPROFD_MAX_RULES rules; PPROFD_MAX_DIRECTORY_PAGES
//   pages from the first row on.
#ifndef DAEMON_UNWIND_UNWIND_TABLE_H_
#define DAEMON_UNWIND_UNWIND_TABLE_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/model/ids.h"
#include "daemon/unwind/unwind_rule.h"

namespace pprofd {

inline constexpr size_t kMaxUnwindRows = 16u << 20;
inline constexpr uint64_t kMaxBridgedBytes = 16;
// A start routine without call frame information is at most that long.
inline constexpr uint64_t kMaxEntryGapBytes = 256;

// Holds from its file offset to the next row's.
struct UnwindRow {
  uint64_t file_offset : 48;
  uint64_t rule : 16;  // index into UnwindTable::rules
  bool operator==(const UnwindRow&) const = default;
};
static_assert(sizeof(UnwindRow) == 8);

struct UnwindTableStats {
  size_t eh_frame_fdes = 0;
  size_t debug_frame_fdes = 0;
  size_t skipped_records = 0;  // not understood
  size_t go_functions = 0;
  size_t signal_trampolines = 0;  // found by their bytes
  uint64_t covered_bytes = 0;     // of the file, by rows other than NONE
  uint64_t code_bytes = 0;        // of the file, in executable segments
  std::array<size_t, 16> rows_by_kind{};  // PPROFD_CFA_*
};

struct UnwindTable {
  // Ascending; the last one is rule 0 (NONE), unless there are none.
  std::vector<UnwindRow> rows;
  std::vector<UnwindRule> rules;  // [0] is kRuleNone
  // File range without rows that holds e_entry; empty when it has rows.
  uint64_t entry_gap_start = 0;
  uint64_t entry_gap_limit = 0;
  UnwindTableStats stats;

  // The rule at a file offset.
  const UnwindRule& RuleAt(FileOffset offset) const;
};

// Pure. A file without unwind information gives an empty table.
// Fails: Corrupt and Unsupported (not an x86_64 ELF file), Exhausted (bounds).
Result<UnwindTable> BuildUnwindTable(std::span<const uint8_t> file_bytes);

// What a table of the file would be made from, at a fraction of its cost: rows
// and covered bytes are not counted, trampolines not searched. Pure.
// Fails: Corrupt and Unsupported.
Result<UnwindTableStats> CountUnwindSources(
    std::span<const uint8_t> file_bytes);

}  // namespace pprofd

#endif  // DAEMON_UNWIND_UNWIND_TABLE_H_
