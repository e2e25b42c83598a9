#include "daemon/unwind/table_loader.h"

#include <gtest/gtest.h>

#include "daemon/base/telemetry.h"
#include "daemon/unwind/fake_map_writer.h"
#include "daemon/unwind/table_reader.h"
#include "daemon/unwind/test_files.h"

namespace pprofd {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

pprofd_file_key Key(uint64_t inode) {
  pprofd_file_key key{};
  key.inode = inode;
  key.device = 8 << 20 | 1;
  return key;
}

UnwindRule RspRule(int16_t words) {
  UnwindRule rule = PlainRule(PPROFD_CFA_RSP);
  rule.cfa_off8 = words;
  return rule;
}

// `count` rows, 8 bytes apart, of alternating rules; about 3.5 bytes each.
UnwindTable ManyRows(size_t count, int16_t words = 1) {
  UnwindTable table;
  table.rules = {kRuleNone, RspRule(words),
                 RspRule(static_cast<int16_t>(words + 1))};
  for (size_t i = 0; i < count; ++i) {
    table.rows.push_back({.file_offset = 0x1000 + 8 * i, .rule = 1 + i % 2});
  }
  if (count > 0) {
    table.rows.push_back({.file_offset = 0x1000 + 8 * count, .rule = 0});
  }
  return table;
}

class TableLoaderTest : public testing::Test {
 protected:
  static constexpr size_t kBudget = 4u << 20;

  TableLoaderTest() : loader_(&writer_, {.max_bytes = kBudget}) {}

  const pprofd_module* Module(uint64_t inode) {
    auto found = writer_.modules.find(FakeMapWriter::ToTuple(Key(inode)));
    return found == writer_.modules.end() ? nullptr : &found->second;
  }
  Status Load(uint64_t inode, const UnwindTable& table,
              const std::string& build_id = "") {
    return loader_.Load(Key(inode), ModuleId{static_cast<uint32_t>(inode)},
                        BuildId(build_id), table);
  }
  std::optional<UnwindRule> LookUp(uint64_t inode, uint64_t offset) {
    auto number =
        TableReader(writer_.chunks).RuleNumber(*Module(inode), offset);
    if (!number) return std::nullopt;
    return writer_.rules[*number];
  }
  void ExpectSameRule(uint64_t inode, uint64_t offset,
                      const UnwindTable& table) {
    auto rule = LookUp(inode, offset);
    ASSERT_TRUE(rule.has_value());
    ASSERT_EQ(RuleBits(*rule), RuleBits(table.RuleAt({offset})))
        << std::hex << offset;
  }

  FakeMapWriter writer_;
  TableLoader loader_;
};

TEST_F(TableLoaderTest, PublishedTablesAnswerLikeTheirRows) {
  uint64_t inode = 2;
  for (const std::string& path : SystemElfFiles()) {
    MemoryMap map = MapTestFile(path);
    if (!map) continue;
    Result<UnwindTable> table = BuildUnwindTable(Bytes(map));
    ASSERT_TRUE(table.ok());
    ASSERT_TRUE(Load(++inode, *table).ok());
    for (size_t i = 0; i < table->rows.size(); ++i) {
      uint64_t start = table->rows[i].file_offset;
      uint64_t limit = i + 1 < table->rows.size()
                           ? table->rows[i + 1].file_offset
                           : start + 100000;
      ExpectSameRule(inode, start, *table);
      ExpectSameRule(inode, start + (limit - start) / 2, *table);
      ExpectSameRule(inode, limit - 1, *table);
    }
    ExpectSameRule(inode, 0, *table);
    EXPECT_EQ(Module(inode)->entry_gap_start, table->entry_gap_start);
  }
}

TEST_F(TableLoaderTest, EmptyTableIsReadyWithoutDirectory) {
  ASSERT_TRUE(Load(7, ManyRows(0)).ok());
  EXPECT_EQ(Module(7)->flags, PPROFD_MODULE_READY);
  EXPECT_EQ(Module(7)->directory, 0u);
  EXPECT_EQ(Module(7)->number, 7u);
}

TEST_F(TableLoaderTest, EqualBuildIdsShareOneTable) {
  ASSERT_TRUE(Load(7, ManyRows(1000), "id").ok());
  size_t used = loader_.used_bytes();
  EXPECT_TRUE(loader_.Share(Key(8), ModuleId{8}, BuildId("id")));
  EXPECT_FALSE(loader_.Share(Key(9), ModuleId{9}, BuildId("other")));
  EXPECT_FALSE(loader_.Share(Key(9), ModuleId{9}, BuildId()));
  EXPECT_EQ(loader_.used_bytes(), used);
  EXPECT_EQ(Module(8)->directory, Module(7)->directory);
  EXPECT_EQ(Module(8)->number, 8u);
}

TEST_F(TableLoaderTest, SharedTableLivesUntilItsLastFileIsForgotten) {
  ASSERT_TRUE(Load(7, ManyRows(1000), "id").ok());
  ASSERT_TRUE(loader_.Share(Key(8), ModuleId{8}, BuildId("id")));
  ASSERT_TRUE(loader_.Forget(Key(7), ModuleId{7}).ok());
  EXPECT_EQ(loader_.table_count(), 1u);
  ASSERT_TRUE(loader_.Forget(Key(8), ModuleId{8}).ok());
  EXPECT_EQ(loader_.table_count(), 0u);
  EXPECT_FALSE(loader_.Share(Key(9), ModuleId{9}, BuildId("id")));
}

TEST_F(TableLoaderTest, AnOldNumberDoesNotTakeItsSuccessorAway) {
  ASSERT_TRUE(Load(7, ManyRows(1000)).ok());
  ASSERT_TRUE(loader_.Forget(Key(7), ModuleId{7}).ok());
  ASSERT_TRUE(
      loader_.Load(Key(7), ModuleId{8}, BuildId(), ManyRows(1000)).ok());
  ASSERT_TRUE(loader_.Forget(Key(7), ModuleId{7}).ok());
  ASSERT_NE(Module(7), nullptr);
  EXPECT_EQ(Module(7)->number, 8u);
}

TEST_F(TableLoaderTest, RemovedPiecesStayForTheGracePeriod) {
  ASSERT_TRUE(Load(7, ManyRows(1000)).ok());
  size_t used = loader_.used_bytes();
  ASSERT_TRUE(loader_.Forget(Key(7), ModuleId{7}).ok());
  EXPECT_EQ(Module(7), nullptr);
  loader_.Collect({10 * kSecond});
  loader_.Collect({11 * kSecond - 1});
  EXPECT_EQ(loader_.used_bytes(), used);
  loader_.Collect({11 * kSecond});
  EXPECT_EQ(loader_.used_bytes(), 0u);
}

TEST_F(TableLoaderTest, ReloadingAFileReplacesItsTable) {
  ASSERT_TRUE(Load(7, ManyRows(1000, 1)).ok());
  ASSERT_TRUE(Load(7, ManyRows(1000, 5)).ok());
  EXPECT_EQ(loader_.table_count(), 1u);
  EXPECT_EQ(LookUp(7, 0x1000)->cfa_off8, 5);
}

TEST_F(TableLoaderTest, LeastRecentlyUsedTableIsEvictedFirst) {
  for (uint64_t inode = 1; inode <= 3; ++inode) {
    ASSERT_TRUE(Load(inode, ManyRows(300'000)).ok());
  }
  for (int i = 0; i < 4; ++i) loader_.AdvanceEpoch();
  writer_.Use(Key(1));
  loader_.AdvanceEpoch();
  loader_.AdvanceEpoch();
  writer_.Use(Key(3));
  ASSERT_TRUE(Load(4, ManyRows(300'000)).ok());
  EXPECT_EQ(Module(2), nullptr);
  EXPECT_NE(Module(1), nullptr);
  EXPECT_NE(Module(3), nullptr);
  EXPECT_NE(Module(4), nullptr);
}

TEST_F(TableLoaderTest, CrowdedOutFileAsksAgainOnceThereIsRoom) {
  uint64_t inode = 1;
  while (Load(inode, ManyRows(150'000)).ok()) ++inode;
  ASSERT_GT(inode, 3u);
  EXPECT_EQ(Module(inode)->flags, PPROFD_MODULE_READY | PPROFD_MODULE_REFUSED);
  loader_.AdvanceEpoch();
  loader_.AdvanceEpoch();
  loader_.AdvanceEpoch();
  loader_.Collect({10 * kSecond});
  loader_.Collect({12 * kSecond});
  EXPECT_EQ(Module(inode), nullptr);
  EXPECT_TRUE(Load(inode, ManyRows(150'000)).ok());
}

TEST_F(TableLoaderTest, TableLargerThanTheBudgetIsRefusedForGood) {
  Status status = Load(7, ManyRows(3'000'000));
  EXPECT_EQ(status.code(), StatusCode::kExhausted);
  EXPECT_EQ(Module(7)->flags, PPROFD_MODULE_READY | PPROFD_MODULE_REFUSED);
  EXPECT_EQ(loader_.used_bytes(), 0u);
  loader_.AdvanceEpoch();
  loader_.Collect({10 * kSecond});
  EXPECT_NE(Module(7), nullptr);
}

TEST_F(TableLoaderTest, RefusedFileIsMarked) {
  ASSERT_TRUE(loader_.Refuse(Key(7), ModuleId{7}, "no ELF file").ok());
  EXPECT_EQ(Module(7)->flags, PPROFD_MODULE_READY | PPROFD_MODULE_REFUSED);
  EXPECT_EQ(Module(7)->number, 7u);
}

TEST_F(TableLoaderTest, TellsWhatTheKernelHalfHas) {
  using Kind = TableLoader::FileState::Kind;
  EXPECT_EQ(loader_.Describe(Key(7)).kind, Kind::kAbsent);
  UnwindTable table = ManyRows(100);
  table.stats.eh_frame_fdes = 9;
  BuildId id("id");
  ASSERT_TRUE(loader_.Load(Key(7), ModuleId{7}, id, table).ok());
  ASSERT_TRUE(loader_.Share(Key(8), ModuleId{8}, id));
  TableLoader::FileState state = loader_.Describe(Key(8));
  EXPECT_EQ(state.kind, Kind::kReady);
  EXPECT_EQ(state.row_count, table.rows.size());
  EXPECT_EQ(state.stats.eh_frame_fdes, 9u);
  EXPECT_EQ(state.sharers, std::vector<ModuleId>{ModuleId{7}});
  ASSERT_TRUE(loader_.Forget(Key(7), ModuleId{7}).ok());
  EXPECT_TRUE(loader_.Describe(Key(8)).sharers.empty());

  std::string reason(10'000, 'x');
  ASSERT_TRUE(loader_.Refuse(Key(9), ModuleId{9}, reason).ok());
  state = loader_.Describe(Key(9));
  EXPECT_EQ(state.kind, Kind::kRefused);
  EXPECT_EQ(state.refusal.size(), TableLoader::kMaxReasonBytes);

  EXPECT_EQ(loader_.DescribeVdso().kind, Kind::kAbsent);
  ASSERT_TRUE(loader_.LoadVdso(table).ok());
  EXPECT_EQ(loader_.DescribeVdso().row_count, table.rows.size());
}

TEST_F(TableLoaderTest, VdsoTableHasItsOwnDoor) {
  ASSERT_TRUE(loader_.LoadVdso(ManyRows(100)).ok());
  EXPECT_EQ(writer_.vdso.number, uint32_t{PPROFD_MODULE_VDSO});
  EXPECT_EQ(TableReader(writer_.chunks).RuleNumber(writer_.vdso, 0x1000), 2);
  EXPECT_TRUE(writer_.modules.empty());
}

TEST_F(TableLoaderTest, RulesBeyondTheLimitBecomeUnsupported) {
  UnwindTable table;
  table.rules = {kRuleNone};
  for (int i = 0; i < 40'000; ++i) {
    table.rules.push_back(RspRule(static_cast<int16_t>(i - 20'000)));
    table.rows.push_back({.file_offset = 0x1000u + i, .rule = 1u + i});
  }
  table.rows.push_back({.file_offset = 0x1000 + 40'000, .rule = 0});
  UnwindTable other = table;
  for (UnwindRule& rule : other.rules) {
    if (rule.cfa_kind == PPROFD_CFA_RSP) rule.cfa_kind = PPROFD_CFA_RBP;
  }
  ASSERT_TRUE(Load(7, table).ok());
  ASSERT_TRUE(Load(8, other).ok());
  EXPECT_EQ(LookUp(7, 0x1000 + 39'999)->cfa_off8, 19'999);
  EXPECT_EQ(LookUp(8, 0x1000)->cfa_kind, PPROFD_CFA_RBP);
  EXPECT_EQ(LookUp(8, 0x1000 + 39'999)->cfa_kind, PPROFD_CFA_UNSUPPORTED);
}

}  // namespace
}  // namespace pprofd
