#include "symbolizer/line_program.h"

#include <dwarf.h>
#include <gtest/gtest.h>

#include <vector>

namespace pprofd {
namespace {

constexpr uint8_t kOpcodeBase = 13;
constexpr int kLineBase = -3;
constexpr uint8_t kLineRange = 12;

class LineTableTest : public testing::Test {
 protected:
  // Opcodes of a program.
  void StartAt(uint64_t address) {
    program_.insert(program_.end(), {0, 9, DW_LNE_set_address});
    for (int i = 0; i < 8; ++i) {
      program_.push_back(static_cast<uint8_t>(address >> (8 * i)));
    }
  }
  // Adds a row.
  void Step(int address, int line) {
    program_.push_back(static_cast<uint8_t>(
        line - kLineBase + kLineRange * address + kOpcodeBase));
  }
  void Advance(uint8_t address) {
    program_.insert(program_.end(), {DW_LNS_advance_pc, address});
  }
  void End() { program_.insert(program_.end(), {0, 1, DW_LNE_end_sequence}); }

  LineTable Run(uint64_t first_code = 0) {
    LineHeader header;
    header.version = 4;
    header.line_base = kLineBase;
    header.line_range = kLineRange;
    header.opcode_base = kOpcodeBase;
    header.opcode_lengths = {0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1};
    header.program = program_;
    return LineTable(header, [&](uint64_t a) { return a >= first_code; });
  }
  static uint32_t LineAt(const LineTable& table, uint64_t address) {
    const LineRow* row = table.Find(address);
    return row == nullptr ? 0 : row->line;
  }

  std::vector<uint8_t> program_;
};

TEST_F(LineTableTest, FindsTheRowBeforeAnAddress) {
  StartAt(0x1000);
  Step(0, 4);  // line 5
  Step(2, 1);  // line 6 from 0x1002
  Advance(4);
  End();
  LineTable table = Run();
  EXPECT_EQ(LineAt(table, 0xfff), 0u);
  EXPECT_EQ(LineAt(table, 0x1001), 5u);
  EXPECT_EQ(LineAt(table, 0x1002), 6u);
  EXPECT_EQ(LineAt(table, 0x1005), 6u);
  EXPECT_EQ(LineAt(table, 0x1006), 0u);
}

TEST_F(LineTableTest, SortsSequencesAndTheirRows) {
  StartAt(0x2000);
  Step(0, 1);
  Advance(4);
  End();
  StartAt(0x1008);
  Step(0, 1);
  StartAt(0x1000);  // back in the same sequence
  Step(0, 1);
  Advance(16);
  End();
  LineTable table = Run();
  EXPECT_EQ(LineAt(table, 0x2000), 2u);
  EXPECT_EQ(LineAt(table, 0x1000), 3u);
  EXPECT_EQ(LineAt(table, 0x1008), 2u);
}

TEST_F(LineTableTest, LeavesOutSequencesThatAreNoCode) {
  StartAt(0);
  Step(0, 1);
  Advance(100);
  End();
  StartAt(0x1000);
  Step(0, 2);
  Advance(1);
  End();
  LineTable table = Run(0x1000);
  EXPECT_EQ(LineAt(table, 50), 0u);
  EXPECT_EQ(LineAt(table, 0x1000), 3u);
}

TEST_F(LineTableTest, TakesTheLastOfSeveralRowsAtOneAddress) {
  StartAt(0x1000);
  Step(0, 1);
  Step(0, 1);
  Step(0, 1);
  Advance(8);
  End();
  EXPECT_EQ(LineAt(Run(), 0x1000), 4u);
}

TEST_F(LineTableTest, DropsASequenceWithoutEnd) {
  StartAt(0x1000);
  Step(0, 1);
  EXPECT_TRUE(Run().empty());
}

}  // namespace
}  // namespace pprofd
