#include "daemon/unwind/unwind_table.h"

#include <elf.h>

#include <algorithm>

#include "daemon/unwind/cfi_rows.h"
#include "daemon/unwind/cfi_sections.h"
#include "daemon/unwind/eh_frame.h"
#include "daemon/unwind/go_functions.h"
#include "daemon/unwind/row_list.h"
#include "daemon/unwind/signal_trampoline.h"
#include "symbolizer/elf_file.h"

namespace pprofd {
namespace {

constexpr uint64_t kMaxFileOffset = PPROFD_FRAME_OFFSET_MASK;
constexpr uint64_t kNowhere = UINT64_MAX;
// Executable ones; each costs a pass over all functions.
constexpr size_t kMaxSegments = 16;

// One build: the sources, layered into one list of rows.
class Builder {
 public:
  explicit Builder(const ElfFile& file) : file_(file) {
    for (const LoadSegment& segment : file.load_segments()) {
      bool is_sane =
          segment.offset.value <= kMaxFileOffset &&
          segment.file_size <= kMaxFileOffset &&
          segment.offset.value + segment.file_size <= kMaxFileOffset &&
          segment.address.value + segment.file_size >= segment.address.value;
      if (segment.is_executable && is_sane && segments_.size() < kMaxSegments) {
        segments_.push_back(segment);
      }
    }
    std::sort(segments_.begin(), segments_.end(),
              [](const LoadSegment& a, const LoadSegment& b) {
                return a.offset < b.offset;
              });
  }

  // What Build() would take rows from.
  UnwindTableStats CountSources() {
    ParseCfi(FindEhFrame(file_));
    if (auto functions = GoFunctions::Find(file_)) {
      table_.stats.go_functions = functions->size();
    } else {
      ParseCfi(FindDebugFrame(file_, debug_storage_));
    }
    CountCode();
    return table_.stats;
  }

  Result<UnwindTable> Build() {
    AddCfi(FindEhFrame(file_));
    AddSignalTrampolines();
    // Go's .debug_frame is wrong where Go's own table says nothing.
    if (!AddGoFunctions()) AddCfi(FindDebugFrame(file_, debug_storage_));
    SetEntryGap();
    rows_.BridgeGaps(entry_);
    if (rows_.is_full()) {
      return Status(StatusCode::kExhausted, "more than 16 Mi unwind rows");
    }
    table_.rows = rows_.TakeRows();
    table_.rules = rules_.TakeRules();
    RETURN_IF_ERROR(CheckSpan());
    CountRows();
    CountCode();
    return std::move(table_);
  }

 private:
  void AddCfi(const std::optional<CfiSection>& section) {
    std::optional<EhFrame> parsed = ParseCfi(section);
    if (parsed) AddLayer(MakeCfiRows(*parsed, segments_, rules_));
  }

  std::optional<EhFrame> ParseCfi(const std::optional<CfiSection>& section) {
    if (!section) return std::nullopt;
    Result<EhFrame> parsed = EhFrame::Parse(*section);
    if (!parsed.ok()) return std::nullopt;
    UnwindTableStats& stats = table_.stats;
    (section->is_eh_frame ? stats.eh_frame_fdes : stats.debug_frame_fdes) +=
        parsed->fdes().size();
    stats.skipped_records += parsed->skipped_records();
    return std::move(parsed).value();
  }

  void AddLayer(RowList layer) {
    if (rows_.rows().empty()) {
      rows_ = std::move(layer);
    } else {
      rows_.FillFrom(layer);
    }
  }

  void AddSignalTrampolines() {
    RowList layer;
    uint16_t rule = rules_.Number(kRuleSignal);
    for (const LoadSegment& segment : segments_) {
      FileRange text{segment.offset.value,
                     segment.offset.value + segment.file_size};
      for (FileRange found :
           FindSignalTrampolines(file_.bytes(), rows_.Gaps(text))) {
        layer.Append(found.start, rule);
        layer.Close(found.limit);
        ++table_.stats.signal_trampolines;
      }
    }
    AddLayer(std::move(layer));
  }

  bool AddGoFunctions() {
    std::optional<GoFunctions> functions = GoFunctions::Find(file_);
    if (!functions) return false;
    table_.stats.go_functions = functions->size();
    AddLayer(functions->MakeRows(segments_, rules_));
    return true;
  }

  void SetEntryGap() {
    std::optional<FileOffset> entry = file_.ToFileOffset(file_.entry());
    if (!entry || file_.entry().value == 0) return;
    for (const LoadSegment& segment : segments_) {
      uint64_t limit = segment.offset.value + segment.file_size;
      if (*entry < segment.offset || entry->value >= limit) continue;
      limit = std::min(limit, entry->value + kMaxEntryGapBytes);
      std::vector<FileRange> gaps = rows_.Gaps({entry->value, limit});
      if (gaps.empty() || gaps.front().start != entry->value) return;
      entry_ = entry->value;
      table_.entry_gap_start = gaps.front().start;
      table_.entry_gap_limit = gaps.front().limit;
      return;
    }
  }

  Status CheckSpan() const {
    if (table_.rows.empty()) return Status::Ok();
    uint64_t first = table_.rows.front().file_offset >> PPROFD_PAGE_SHIFT;
    uint64_t last = table_.rows.back().file_offset >> PPROFD_PAGE_SHIFT;
    if (last - first < PPROFD_MAX_DIRECTORY_PAGES) return Status::Ok();
    return Status(StatusCode::kExhausted, "unwind rows span more than 1 GiB");
  }

  void CountCode() {
    for (const LoadSegment& segment : segments_) {
      table_.stats.code_bytes += segment.file_size;
    }
  }

  void CountRows() {
    const std::vector<UnwindRow>& rows = table_.rows;
    for (size_t i = 0; i < rows.size(); ++i) {
      const UnwindRule& rule = table_.rules[rows[i].rule];
      ++table_.stats.rows_by_kind[rule.cfa_kind & 15];
      if (rule.cfa_kind != PPROFD_CFA_NONE && i + 1 < rows.size()) {
        table_.stats.covered_bytes +=
            rows[i + 1].file_offset - rows[i].file_offset;
      }
    }
  }

  const ElfFile& file_;
  std::vector<LoadSegment> segments_;  // executable, ascending by file offset
  std::vector<uint8_t> debug_storage_;
  RuleSet rules_;
  RowList rows_;
  uint64_t entry_ = kNowhere;
  UnwindTable table_;
};

Result<ElfFile> ParseForUnwinding(std::span<const uint8_t> file_bytes) {
  ASSIGN_OR_RETURN(ElfFile file, ElfFile::Parse(file_bytes));
  if (file.machine() != EM_X86_64) {
    return Status(StatusCode::kUnsupported, "not an x86_64 ELF file");
  }
  return file;
}

}  // namespace

const UnwindRule& UnwindTable::RuleAt(FileOffset offset) const {
  auto after = std::upper_bound(rows.begin(), rows.end(), offset.value,
                                [](uint64_t value, const UnwindRow& row) {
                                  return value < row.file_offset;
                                });
  if (after == rows.begin()) return kRuleNone;
  return rules[(after - 1)->rule];
}

Result<UnwindTable> BuildUnwindTable(std::span<const uint8_t> file_bytes) {
  ASSIGN_OR_RETURN(ElfFile file, ParseForUnwinding(file_bytes));
  return Builder(file).Build();
}

Result<UnwindTableStats> CountUnwindSources(
    std::span<const uint8_t> file_bytes) {
  ASSIGN_OR_RETURN(ElfFile file, ParseForUnwinding(file_bytes));
  return Builder(file).CountSources();
}

}  // namespace pprofd
