#include "symbolizer/line_program.h"

#include <dwarf.h>

#include <algorithm>
#include <array>
#include <limits>

#include "symbolizer/byte_reader.h"
#include "symbolizer/narrow.h"

namespace pprofd {
namespace {

// A row of the matrix.
struct Row {
  uint64_t address = 0;
  LineRow packed;  // but for its offset
};

// Rows from `first` up to `last`, by address, are code up to `end`.
struct Sequence {
  size_t first = 0;
  size_t last = 0;
  uint64_t start = 0;
  uint64_t end = 0;
};

// Runs the opcodes of one unit.
class Machine {
 public:
  Machine(const LineHeader& header,
          const std::function<bool(uint64_t address)>& is_code)
      : header_(header), is_code_(is_code), reader_(header.program) {
    for (unsigned i = 0; i + header.opcode_base < steps_.size(); ++i) {
      steps_[i + header.opcode_base] = {
          .address = i / header.line_range * header.min_instruction_bytes,
          .line = header.line_base + static_cast<int>(i % header.line_range)};
    }
  }

  void Run() {
    while (reader_.ok() && !reader_.AtEnd()) {
      uint8_t opcode = reader_.U8();
      if (opcode >= header_.opcode_base) {
        address_ += steps_[opcode].address;
        line_ += static_cast<int64_t>(steps_[opcode].line);
        AddRow();
      } else if (opcode == 0) {
        Extended();
      } else {
        Standard(opcode);
      }
    }
  }

  const std::vector<Row>& rows() const { return rows_; }
  std::vector<Sequence>& sequences() { return sequences_; }

 private:
  // What a special opcode does.
  struct SpecialStep {
    unsigned address = 0;
    int line = 0;
  };

  void AddRow() {
    if (row_count_++ >= LineTable::kMaxRows) return;
    if (rows_.size() > first_ && address_ < rows_.back().address) {
      is_sorted_ = false;
    }
    rows_.push_back({.address = address_,
                     .packed = {.offset = 0,
                                .line = Narrow<uint32_t>(line_),
                                .file = file_,
                                .column = column_}});
  }
  void Standard(uint8_t opcode) {
    switch (opcode) {
      case DW_LNS_copy:
        return AddRow();
      case DW_LNS_advance_pc:
        address_ += reader_.Uleb() * header_.min_instruction_bytes;
        return;
      case DW_LNS_advance_line:
        line_ += static_cast<uint64_t>(reader_.Sleb());
        return;
      case DW_LNS_set_file:
        file_ = Narrow<uint16_t>(reader_.Uleb(), LineRow::kNoFile - 1);
        return;
      case DW_LNS_set_column:
        column_ = Narrow<uint16_t>(reader_.Uleb());
        return;
      case DW_LNS_const_add_pc:
        address_ += steps_[255].address;
        return;
      case DW_LNS_fixed_advance_pc:
        address_ += reader_.U16();
        return;
      default:  // has no effect on what we keep
        for (uint8_t i = 0; i < header_.opcode_lengths[opcode - 1]; ++i) {
          reader_.Uleb();
        }
    }
  }
  void Extended() {
    uint64_t length = reader_.Uleb();
    ByteReader operands(reader_.Bytes(length));
    if (length == 0) return;
    switch (operands.U8()) {
      case DW_LNE_end_sequence:
        return EndSequence();
      case DW_LNE_set_address:
        address_ = operands.Unsigned(length - 1);
        return;
    }
  }
  void EndSequence() {
    if (!is_sorted_) {
      std::stable_sort(
          rows_.begin() + static_cast<ptrdiff_t>(first_), rows_.end(),
          [](const Row& a, const Row& b) { return a.address < b.address; });
    }
    bool is_kept = rows_.size() > first_ && rows_[first_].address < address_ &&
                   is_code_(rows_[first_].address);
    if (is_kept) {
      sequences_.push_back({.first = first_,
                            .last = rows_.size(),
                            .start = rows_[first_].address,
                            .end = address_});
    } else {
      rows_.resize(first_);
    }
    first_ = rows_.size();
    is_sorted_ = true;
    address_ = 0;
    line_ = 1;
    file_ = 1;
    column_ = 0;
  }

  const LineHeader& header_;
  const std::function<bool(uint64_t address)>& is_code_;
  ByteReader reader_;
  std::array<SpecialStep, 256> steps_{};  // by opcode
  uint64_t address_ = 0;
  uint64_t line_ = 1;
  uint16_t file_ = 1;
  uint16_t column_ = 0;
  size_t first_ = 0;  // row of the sequence
  bool is_sorted_ = true;
  size_t row_count_ = 0;
  std::vector<Row> rows_;
  std::vector<Sequence> sequences_;
};

bool SameLine(const LineRow& a, const LineRow& b) {
  return a.line == b.line && a.file == b.file && a.column == b.column;
}

// Appends `row`; of rows at one address the last counts.
void Append(std::vector<LineRow>& rows, const LineRow& row) {
  if (!rows.empty() && rows.back().offset == row.offset) rows.pop_back();
  if (!rows.empty() && SameLine(rows.back(), row)) return;
  rows.push_back(row);
}

}  // namespace

LineTable::LineTable(const LineHeader& header,
                     const std::function<bool(uint64_t address)>& is_code) {
  Machine machine(header, is_code);
  machine.Run();
  std::vector<Sequence>& sequences = machine.sequences();
  std::sort(
      sequences.begin(), sequences.end(),
      [](const Sequence& a, const Sequence& b) { return a.start < b.start; });
  if (sequences.empty()) return;
  base_ = sequences.front().start;
  uint64_t covered_until = base_;
  for (const Sequence& sequence : sequences) {
    if (sequence.end - base_ >= UINT32_MAX) break;
    for (size_t i = sequence.first; i < sequence.last; ++i) {
      const Row& row = machine.rows()[i];
      if (row.address < covered_until || row.address >= sequence.end) continue;
      LineRow packed = row.packed;
      packed.offset = static_cast<uint32_t>(row.address - base_);
      Append(rows_, packed);
    }
    if (sequence.end <= covered_until) continue;
    covered_until = sequence.end;
    Append(rows_, {.offset = static_cast<uint32_t>(sequence.end - base_)});
  }
  rows_.shrink_to_fit();
}

const LineRow* LineTable::Find(uint64_t address) const {
  if (address < base_ || address - base_ >= UINT32_MAX) return nullptr;
  auto offset = static_cast<uint32_t>(address - base_);
  auto after = std::upper_bound(
      rows_.begin(), rows_.end(), offset,
      [](uint32_t value, const LineRow& row) { return value < row.offset; });
  if (after == rows_.begin()) return nullptr;
  const LineRow& row = *(after - 1);
  return row.file == LineRow::kNoFile ? nullptr : &row;
}

}  // namespace pprofd
