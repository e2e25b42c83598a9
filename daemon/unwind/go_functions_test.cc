#include "daemon/unwind/go_functions.h"

#include <gtest/gtest.h>

#include <ctime>

#include "daemon/unwind/test_elf.h"
#include "daemon/unwind/unwind_table.h"

namespace pprofd {
namespace {

constexpr uint64_t kOffset = TestElf::kTextOffset;

void PutAt(TestBytes& bytes, size_t at, uint64_t value, size_t size) {
  if (bytes.size() < at + size) bytes.resize(at + size);
  std::memcpy(bytes.data() + at, &value, size);
}

// A function table of the format of Go 1.20 with three functions of 32 bytes:
// one with a frame of 16 bytes, one outermost, one that switches stacks.
TestBytes FunctionTable(uint64_t text_start) {
  constexpr size_t kPcsp = 128, kFunctions = 192;
  TestBytes table;
  PutAt(table, 0, 0xfffffff1, 4);
  PutAt(table, 6, 1, 1);
  PutAt(table, 7, 8, 1);
  PutAt(table, 8, 3, 8);
  PutAt(table, 24, text_start, 8);
  for (size_t word : {3, 4, 5}) PutAt(table, 8 + word * 8, 72, 8);
  PutAt(table, 8 + 6 * 8, kPcsp, 8);
  PutAt(table, 8 + 7 * 8, kFunctions, 8);
  // Depth 0 for 1 byte, 8 for 3, 16 for 27, 8 for 1; ended by 0. The steps are
  // zigzag, from -1.
  TestBytes program{2, 1, 16, 3, 16, 27, 15, 1, 0};
  for (size_t i = 0; i < program.size(); ++i) {
    PutAt(table, kPcsp + 1 + i, program[i], 1);
  }
  for (size_t i = 0; i <= 3; ++i) {
    PutAt(table, kFunctions + i * 8, i * 32, 4);
    if (i == 3) break;
    size_t record = 64 + i * 64;
    PutAt(table, kFunctions + i * 8 + 4, record, 4);
    PutAt(table, kFunctions + record + 16, 1, 4);
    PutAt(table, kFunctions + record + 41, i, 1);  // flags: 0, 1, 2
  }
  return table;
}

TestElf GoProgram(const TestBytes& table) {
  TestBytes text(96, 0x90);
  text[0] = 0x55;  // push %rbp
  TestElf elf(text);
  elf.AddSection(".gopclntab", table, 0x800000);
  return elf;
}

void ExpectRule(const UnwindTable& table, uint64_t into_text, uint8_t kind,
                int16_t words, uint8_t rbp_kind) {
  const UnwindRule& rule = table.RuleAt({kOffset + into_text});
  EXPECT_EQ(rule.cfa_kind, kind) << into_text;
  EXPECT_EQ(rule.cfa_off8, words) << into_text;
  EXPECT_EQ(rule.rbp_kind, rbp_kind) << into_text;
}

TEST(GoFunctions, RowsFollowTheStackDepth) {
  Result<UnwindTable> table =
      BuildUnwindTable(GoProgram(FunctionTable(TestElf::kTextAddress)).Build());
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(table->stats.go_functions, 3u);
  ExpectRule(*table, 0, PPROFD_CFA_RSP, 1, PPROFD_RBP_SAME);
  ExpectRule(*table, 1, PPROFD_CFA_RSP, 2, PPROFD_RBP_AT_CFA);
  ExpectRule(*table, 4, PPROFD_CFA_RSP, 3, PPROFD_RBP_AT_CFA);
  ExpectRule(*table, 31, PPROFD_CFA_RSP, 2, PPROFD_RBP_AT_CFA);
  ExpectRule(*table, 32, PPROFD_CFA_END, 0, PPROFD_RBP_SAME);
  ExpectRule(*table, 64, PPROFD_CFA_NONE, 0, PPROFD_RBP_SAME);
}

TEST(GoFunctions, FrameThatSavesNoFramePointerLeavesItAlone) {
  TestBytes file = GoProgram(FunctionTable(TestElf::kTextAddress)).Build();
  file[kOffset] = 0x90;
  Result<UnwindTable> table = BuildUnwindTable(file);
  ASSERT_TRUE(table.ok());
  ExpectRule(*table, 4, PPROFD_CFA_RSP, 3, PPROFD_RBP_SAME);
}

TEST(GoFunctions, TextStartOutsideTheCodeIsRefused) {
  TestBytes bytes = GoProgram(FunctionTable(0x1234)).Build();
  Result<ElfFile> file = ElfFile::Parse(bytes);
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(GoFunctions::Find(*file).has_value());
}

TEST(GoFunctions, EveryPrefixOfTheTableIsSurvived) {
  TestBytes table = FunctionTable(TestElf::kTextAddress);
  for (size_t size = 0; size < table.size(); ++size) {
    TestBytes prefix(table.begin(), table.begin() + size);
    EXPECT_TRUE(BuildUnwindTable(GoProgram(prefix).Build()).ok()) << size;
  }
}

// Hundreds of large functions share a program of millions of steps.
TEST(GoFunctions, EndlessProgramsAreCut) {
  constexpr uint32_t kCount = 300;
  constexpr uint32_t kSpan = 8 << 20;
  constexpr size_t kFunctions = 128;
  constexpr size_t kRecord = 8 * (kCount + 1);
  TestBytes table;
  PutAt(table, 0, 0xfffffff1, 4);
  PutAt(table, 6, 1, 1);
  PutAt(table, 7, 8, 1);
  PutAt(table, 8, kCount, 8);
  PutAt(table, 24, TestElf::kTextAddress, 8);
  for (size_t word : {3, 4, 5}) PutAt(table, 8 + word * 8, 72, 8);
  PutAt(table, 8 + 7 * 8, kFunctions, 8);
  for (uint32_t i = 0; i <= kCount; ++i) {
    PutAt(table, kFunctions + i * 8, i * kSpan, 4);
    PutAt(table, kFunctions + i * 8 + 4, kRecord, 4);
  }
  PutAt(table, kFunctions + kRecord + 16, 1, 4);
  table.resize(kFunctions + kRecord + 64);
  PutAt(table, 8 + 6 * 8, table.size(), 8);
  table.push_back(0);
  for (uint32_t i = 0; i < kSpan; ++i) {
    table.insert(table.end(), {static_cast<uint8_t>(1 + i % 2), 1});
  }
  TestBytes file = GoProgram(table).Build();
  constexpr uint64_t kTextBytes = uint64_t{kCount} * kSpan;
  PutAt(file, sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_filesz), kTextBytes,
        8);
  const std::clock_t start = std::clock();
  ASSERT_TRUE(ElfFile::Parse(file).ok());
  (void)BuildUnwindTable(file);             // whatever comes of it
  constexpr std::clock_t kMaxSeconds = 10;  // a sanitizer's, too
  EXPECT_LT(std::clock() - start, kMaxSeconds * CLOCKS_PER_SEC);
}

}  // namespace
}  // namespace pprofd
