#include "symbolizer/line_program.h"

#include <dwarf.h>

#include <algorithm>

#include "symbolizer/byte_reader.h"

namespace pprofd {
namespace {

// A row of the matrix before it is packed.
struct Row {
  uint64_t address = 0;
  uint64_t line = 1;
  uint64_t file = 1;
  uint64_t column = 0;
};

struct Sequence {
  std::vector<Row> rows;  // by address
  uint64_t end = 0;
};

// Runs the opcodes of one unit and hands out sequences as they end.
class Machine {
 public:
  Machine(const LineHeader& header, std::function<void(Sequence)> on_sequence)
      : header_(header),
        on_sequence_(std::move(on_sequence)),
        reader_(header.program) {}

  void Run() {
    while (reader_.ok() && !reader_.AtEnd()) {
      uint8_t opcode = reader_.U8();
      if (opcode >= header_.opcode_base) {
        Special(opcode);
      } else if (opcode == 0) {
        Extended();
      } else {
        Standard(opcode);
      }
    }
  }

 private:
  void AddRow() {
    if (row_count_++ < LineTable::kMaxRows) sequence_.rows.push_back(row_);
  }
  void Advance(uint64_t operations) {
    row_.address += operations * header_.min_instruction_bytes;
  }
  void Special(uint8_t opcode) {
    unsigned adjusted = opcode - header_.opcode_base;
    Advance(adjusted / header_.line_range);
    row_.line +=
        static_cast<int64_t>(header_.line_base) + adjusted % header_.line_range;
    AddRow();
  }
  void Standard(uint8_t opcode) {
    switch (opcode) {
      case DW_LNS_copy:
        return AddRow();
      case DW_LNS_advance_pc:
        return Advance(reader_.Uleb());
      case DW_LNS_advance_line:
        row_.line += reader_.Sleb();
        return;
      case DW_LNS_set_file:
        row_.file = reader_.Uleb();
        return;
      case DW_LNS_set_column:
        row_.column = reader_.Uleb();
        return;
      case DW_LNS_const_add_pc:
        return Advance((255 - header_.opcode_base) / header_.line_range);
      case DW_LNS_fixed_advance_pc:
        row_.address += reader_.U16();
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
        sequence_.end = row_.address;
        on_sequence_(std::move(sequence_));
        sequence_ = Sequence();
        row_ = Row();
        return;
      case DW_LNE_set_address:
        row_.address = operands.Unsigned(length - 1);
        return;
    }
  }

  const LineHeader& header_;
  std::function<void(Sequence)> on_sequence_;
  ByteReader reader_;
  Row row_;
  Sequence sequence_;
  size_t row_count_ = 0;
};

LineRow Pack(const Row& row, uint64_t base) {
  return {
      .offset = static_cast<uint32_t>(row.address - base),
      .line = static_cast<uint32_t>(std::min<uint64_t>(row.line, UINT32_MAX)),
      .file = static_cast<uint16_t>(
          std::min<uint64_t>(row.file, LineRow::kNoFile - 1)),
      .column =
          static_cast<uint16_t>(std::min<uint64_t>(row.column, UINT16_MAX))};
}

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
  std::vector<Sequence> sequences;
  Machine machine(header, [&](Sequence sequence) {
    std::stable_sort(
        sequence.rows.begin(), sequence.rows.end(),
        [](const Row& a, const Row& b) { return a.address < b.address; });
    if (sequence.rows.empty()) return;
    uint64_t start = sequence.rows.front().address;
    if (start >= sequence.end || !is_code(start)) return;
    sequences.push_back(std::move(sequence));
  });
  machine.Run();
  std::sort(sequences.begin(), sequences.end(),
            [](const Sequence& a, const Sequence& b) {
              return a.rows.front().address < b.rows.front().address;
            });
  if (sequences.empty()) return;
  base_ = sequences.front().rows.front().address;
  uint64_t covered_until = base_;
  for (const Sequence& sequence : sequences) {
    if (sequence.end - base_ >= UINT32_MAX) break;
    for (const Row& row : sequence.rows) {
      if (row.address < covered_until || row.address >= sequence.end) continue;
      Append(rows_, Pack(row, base_));
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
