#include "daemon/unwind/unwind_table.h"

#include <gtest/gtest.h>

#include "daemon/unwind/test_elf.h"
#include "daemon/unwind/test_files.h"

namespace pprofd {
namespace {

constexpr uint64_t kText = TestElf::kTextAddress;
constexpr uint64_t kOffset = TestElf::kTextOffset;

UnwindRule Rule(uint8_t kind, int16_t words, uint8_t rbp_kind = PPROFD_RBP_SAME,
                int16_t rbp_words = 0) {
  UnwindRule rule = PlainRule(kind);
  rule.cfa_off8 = words;
  rule.rbp_kind = rbp_kind;
  rule.rbp_off8 = rbp_words;
  return rule;
}

UnwindTable Build(const TestElf& elf) {
  Result<UnwindTable> table = BuildUnwindTable(elf.Build());
  EXPECT_TRUE(table.ok()) << table.status().ToString();
  return table.ok() ? std::move(table).value() : UnwindTable();
}

void ExpectRule(const UnwindTable& table, uint64_t into_text,
                const UnwindRule& want) {
  const UnwindRule& rule = table.RuleAt({kOffset + into_text});
  EXPECT_EQ(RuleBits(rule), RuleBits(want))
      << "at " << into_text << ": kind " << int{rule.cfa_kind} << " offset "
      << rule.cfa_off8 << " rbp " << int{rule.rbp_kind};
}

// A table of one function of 32 bytes with that program.
UnwindTable OneFunction(const TestBytes& program,
                        const std::string& augmentation = "zR") {
  TestCfi cfi;
  cfi.Fde(cfi.Cie(augmentation), kText, 32, program);
  TestElf elf(TestBytes(64, 0x90));
  elf.AddSection(".eh_frame", cfi.bytes());
  return Build(elf);
}

TEST(UnwindTable, FollowsAFramePointerPrologue) {
  // push %rbp; mov %rsp, %rbp; …; pop %rbp; ret
  UnwindTable table = OneFunction(
      {0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x58, 0xc6, 0x0c, 7, 8});
  ExpectRule(table, 0, Rule(PPROFD_CFA_RSP, 1));
  ExpectRule(table, 1, Rule(PPROFD_CFA_RSP, 2, PPROFD_RBP_AT_CFA, -2));
  ExpectRule(table, 4, Rule(PPROFD_CFA_RBP, 2, PPROFD_RBP_AT_CFA, -2));
  ExpectRule(table, 28, Rule(PPROFD_CFA_RSP, 1));
  ExpectRule(table, 32, kRuleNone);
}

TEST(UnwindTable, FollowsARealignedStack) {
  // CFA = *(rbp - 8), rbp at rbp + 0.
  UnwindTable table =
      OneFunction({0x0f, 3, 0x76, 0x78, 0x06, 0x10, 6, 2, 0x76, 0});
  ExpectRule(table, 0, Rule(PPROFD_CFA_RBP_DEREF, -1, PPROFD_RBP_AT_RBP, 0));
}

TEST(UnwindTable, KnowsTheLinkersPltExpression) {
  UnwindTable table = OneFunction(
      {0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22});
  ExpectRule(table, 0, Rule(PPROFD_CFA_PLT, 11));
}

TEST(UnwindTable, KnowsCfaInAnotherRegister) {
  UnwindTable table = OneFunction({0x0c, 10, 16});
  UnwindRule want = Rule(PPROFD_CFA_REG, 2);
  want.cfa_reg = 10;
  ExpectRule(table, 0, want);
}

TEST(UnwindTable, KnowsTheReturnAddressInRdi) {
  UnwindTable table = OneFunction({0x0e, 0, 0x09, 16, 5});
  UnwindRule want = Rule(PPROFD_CFA_RSP, 0);
  want.ra_kind = PPROFD_RA_RDI;
  ExpectRule(table, 0, want);
}

TEST(UnwindTable, UndefinedReturnAddressIsTheEnd) {
  ExpectRule(OneFunction({0x07, 16}), 0, kRuleEnd);
}

TEST(UnwindTable, SignalFrameNeedsTheKernelsLayout) {
  TestBytes program{0x0f, 4, 0x77, 0xa0, 1, 0x06, 0x10, 16, 3, 0x77, 0xa8, 1};
  ExpectRule(OneFunction(program, "zRS"), 0, kRuleSignal);
  ExpectRule(OneFunction({}, "zRS"), 0, kRuleUnsupported);
}

TEST(UnwindTable, RestoresRememberedRows) {
  TestBytes program;
  for (int i = 0; i < 20; ++i) program.insert(program.end(), {0x0a, 0x0e, 24});
  program.push_back(0x44);
  for (int i = 0; i < 20; ++i) program.push_back(0x0b);
  UnwindTable table = OneFunction(program);
  ExpectRule(table, 0, Rule(PPROFD_CFA_RSP, 3));
  ExpectRule(table, 4, Rule(PPROFD_CFA_RSP, 1));
}

TEST(UnwindTable, UnknownInstructionMakesTheRestUnsupported) {
  UnwindTable table = OneFunction({0x44, 0x0e, 16, 0x44, 0x3f});
  ExpectRule(table, 0, Rule(PPROFD_CFA_RSP, 1));
  ExpectRule(table, 4, Rule(PPROFD_CFA_RSP, 2));
  ExpectRule(table, 8, kRuleUnsupported);
  ExpectRule(table, 31, kRuleUnsupported);
}

TEST(UnwindTable, OffsetsThatDoNotFitAreUnsupported) {
  ExpectRule(OneFunction({0x0e, 12}), 0, kRuleUnsupported);
  ExpectRule(OneFunction({0x0e, 0x80, 0x80, 0x20}), 0, kRuleUnsupported);
}

TEST(UnwindTable, EqualNeighboursAreOneRow) {
  TestCfi cfi;
  uint32_t cie = cfi.Cie();
  cfi.Fde(cie, kText, 16, {});
  cfi.Fde(cie, kText + 16, 16, {0x44, 0x0e, 8});
  TestElf elf(TestBytes(64, 0x90));
  elf.AddSection(".eh_frame", cfi.bytes());
  EXPECT_EQ(Build(elf).rows.size(), 2u);
}

TEST(UnwindTable, ShortGapsBelongToTheRowBefore) {
  TestCfi cfi;
  uint32_t cie = cfi.Cie();
  cfi.Fde(cie, kText, 16, {});
  cfi.Fde(cie, kText + 32, 16, {0x0e, 16});
  cfi.Fde(cie, kText + 65, 16, {});
  TestElf elf(TestBytes(128, 0x90));
  elf.AddSection(".eh_frame", cfi.bytes());
  UnwindTable table = Build(elf);
  ExpectRule(table, 31, Rule(PPROFD_CFA_RSP, 1));
  ExpectRule(table, 32, Rule(PPROFD_CFA_RSP, 2));
  ExpectRule(table, 48, kRuleNone);
  ExpectRule(table, 64, kRuleNone);
  ExpectRule(table, 65, Rule(PPROFD_CFA_RSP, 1));
}

TEST(UnwindTable, UnsortedAndOverlappingFunctionsAreClipped) {
  TestCfi cfi;
  uint32_t cie = cfi.Cie();
  cfi.Fde(cie, kText + 16, 32, {0x0e, 16});
  cfi.Fde(cie, kText, 24, {});
  TestElf elf(TestBytes(64, 0x90));
  elf.AddSection(".eh_frame", cfi.bytes());
  UnwindTable table = Build(elf);
  ExpectRule(table, 23, Rule(PPROFD_CFA_RSP, 1));
  ExpectRule(table, 24, Rule(PPROFD_CFA_RSP, 2));
  ExpectRule(table, 47, Rule(PPROFD_CFA_RSP, 2));
}

TEST(UnwindTable, FunctionsOutsideTheSegmentsAreLeftOut) {
  TestCfi cfi;
  uint32_t cie = cfi.Cie();
  cfi.Fde(cie, 0, 1 << 20, {});
  cfi.Fde(cie, kText + 32, 1 << 20, {});
  cfi.Fde(cie, UINT64_MAX - 4, 16, {});
  TestElf elf(TestBytes(64, 0x90));
  elf.AddSection(".eh_frame", cfi.bytes());
  UnwindTable table = Build(elf);
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(table.rows[0].file_offset, kOffset + 32);
  EXPECT_EQ(table.rows[1].file_offset, kOffset + 64);
}

TEST(UnwindTable, DebugFrameFillsOnlyWhatIsFree) {
  TestCfi eh;
  eh.Fde(eh.Cie(), kText + 32, 32, {});
  TestCfi debug(false);
  debug.Fde(debug.Cie(""), kText, 128, {0x0e, 16});
  TestElf elf(TestBytes(128, 0x90));
  elf.AddSection(".eh_frame", eh.bytes());
  elf.AddSection(".debug_frame", debug.bytes());
  UnwindTable table = Build(elf);
  ExpectRule(table, 0, Rule(PPROFD_CFA_RSP, 2));
  ExpectRule(table, 32, Rule(PPROFD_CFA_RSP, 1));
  ExpectRule(table, 64, Rule(PPROFD_CFA_RSP, 2));
  ExpectRule(table, 128, kRuleNone);
}

TEST(UnwindTable, EntryWithoutRowsIsTheEntryGap) {
  TestCfi cfi;
  cfi.Fde(cfi.Cie(), kText + 64, 16, {});
  TestElf elf(TestBytes(128, 0x90));
  elf.AddSection(".eh_frame", cfi.bytes());
  elf.set_entry(kText + 60);
  UnwindTable table = Build(elf);
  EXPECT_EQ(table.entry_gap_start, kOffset + 60);
  EXPECT_EQ(table.entry_gap_limit, kOffset + 64);
  elf.set_entry(kText + 64);
  EXPECT_EQ(Build(elf).entry_gap_limit, 0u);
}

TEST(UnwindTable, EntryGapDoesNotSwallowAWholeProgramWithoutRows) {
  TestElf elf(TestBytes(4096, 0x90));
  elf.set_entry(kText);
  UnwindTable table = Build(elf);
  EXPECT_EQ(table.entry_gap_limit - table.entry_gap_start, kMaxEntryGapBytes);
}

TEST(UnwindTable, FindsSignalTrampolinesByTheirBytes) {
  for (TestBytes code : {TestBytes{0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 5},
                         TestBytes{0xb8, 15, 0, 0, 0, 0x0f, 5}}) {
    TestBytes text(64, 0x90);
    std::copy(code.begin(), code.end(), text.begin() + 20);
    UnwindTable table = Build(TestElf(text));
    ExpectRule(table, 18, kRuleNone);
    ExpectRule(table, 19, kRuleSignal);
    ExpectRule(table, 20 + code.size() - 1, kRuleSignal);
    ExpectRule(table, 20 + code.size(), kRuleNone);
    EXPECT_EQ(table.stats.signal_trampolines, 1u);
  }
}

TEST(UnwindTable, GlibcSignalTrampolineIsKnownFromOneByteBelow) {
  MemoryMap map = MapTestFile("/usr/lib/x86_64-linux-gnu/libc.so.6");
  if (!map) GTEST_SKIP() << "no glibc here";
  Result<UnwindTable> table = BuildUnwindTable(Bytes(map));
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(table->stats.rows_by_kind[PPROFD_CFA_SIGNAL], 1u);
  for (size_t i = 0; i < table->rows.size(); ++i) {
    const UnwindRow& row = table->rows[i];
    if (table->rules[row.rule].cfa_kind != PPROFD_CFA_SIGNAL) continue;
    EXPECT_EQ(Bytes(map)[row.file_offset + 1], 0x48);  // mov $15, %rax
    EXPECT_EQ(Bytes(map)[row.file_offset + 2], 0xc7);
  }
}

TEST(UnwindTable, CountsTheSourcesThatABuildWouldUse) {
  MemoryMap map = MapTestFile("/proc/self/exe");
  ASSERT_TRUE(map);
  Result<UnwindTable> table = BuildUnwindTable(Bytes(map));
  Result<UnwindTableStats> counted = CountUnwindSources(Bytes(map));
  ASSERT_TRUE(table.ok() && counted.ok());
  EXPECT_GT(counted->eh_frame_fdes, 0u);
  EXPECT_EQ(counted->eh_frame_fdes, table->stats.eh_frame_fdes);
  EXPECT_EQ(counted->debug_frame_fdes, table->stats.debug_frame_fdes);
  EXPECT_GT(counted->code_bytes, 0u);
  EXPECT_EQ(counted->code_bytes, table->stats.code_bytes);
  EXPECT_GE(table->stats.code_bytes, table->stats.covered_bytes);
  EXPECT_FALSE(CountUnwindSources(TestBytes(100, 1)).ok());
}

TEST(UnwindTable, OtherFilesAreUnsupported) {
  EXPECT_EQ(BuildUnwindTable(TestBytes(100, 1)).status().code(),
            StatusCode::kUnsupported);
  TestBytes other = TestElf(TestBytes(64, 0x90)).Build();
  other[18] = 183;  // aarch64
  EXPECT_EQ(BuildUnwindTable(other).status().code(), StatusCode::kUnsupported);
}

}  // namespace
}  // namespace pprofd
