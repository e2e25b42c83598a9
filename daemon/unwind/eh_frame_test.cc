#include "daemon/unwind/eh_frame.h"

#include <gtest/gtest.h>

#include <random>

#include "daemon/unwind/cfi_rows.h"
#include "daemon/unwind/cfi_sections.h"
#include "daemon/unwind/test_elf.h"
#include "daemon/unwind/test_files.h"

namespace pprofd {
namespace {

CfiSection Section(const TestBytes& bytes) {
  CfiSection section;
  section.bytes = bytes;
  section.address = 0x5000;
  section.text_address = 0x100;
  section.data_address = 0x200;
  return section;
}

std::optional<uint64_t> Read(uint8_t encoding, const TestBytes& bytes) {
  CfiSection section = Section(bytes);
  CfiReader reader(section.bytes);
  return ReadEncodedPointer(reader, encoding, section);
}

TEST(EncodedPointer, ReadsEveryFormAndBase) {
  TestBytes minus_two{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  EXPECT_EQ(Read(0x00, minus_two), UINT64_MAX - 1);
  EXPECT_EQ(Read(0x01, {0x80, 0x01}), 128u);
  EXPECT_EQ(Read(0x02, minus_two), 0xfffeu);
  EXPECT_EQ(Read(0x03, minus_two), 0xfffffffeu);
  EXPECT_EQ(Read(0x09, {0x7e}), UINT64_MAX - 1);
  EXPECT_EQ(Read(0x0a, minus_two), UINT64_MAX - 1);
  EXPECT_EQ(Read(0x0b, minus_two), UINT64_MAX - 1);
  EXPECT_EQ(Read(0x1b, minus_two), 0x4ffeu);
  EXPECT_EQ(Read(0x2b, minus_two), 0xfeu);
  EXPECT_EQ(Read(0x3b, minus_two), 0x1feu);
  EXPECT_EQ(Read(0x50, minus_two), UINT64_MAX - 1);
}

TEST(EncodedPointer, OmittedIndirectAndShortOnesAreNone) {
  EXPECT_EQ(Read(0xff, {1, 2, 3, 4}), std::nullopt);
  EXPECT_EQ(Read(0x9b, {1, 2, 3, 4}), std::nullopt);
  EXPECT_EQ(Read(0x0b, {1, 2, 3}), std::nullopt);
  EXPECT_EQ(Read(0x0d, {1, 2, 3, 4, 5, 6, 7, 8}), std::nullopt);
}

TEST(EhFrame, FindsTheFunctionAroundAnAddress) {
  TestCfi cfi;
  uint32_t cie = cfi.Cie();
  cfi.Fde(cie, 0x300, 0x10, {});
  cfi.Fde(cie, 0x100, 0x10, {});
  Result<EhFrame> eh_frame = EhFrame::Parse(Section(cfi.bytes()));
  ASSERT_TRUE(eh_frame.ok());
  EXPECT_EQ(eh_frame->Find(0xff), nullptr);
  EXPECT_EQ(eh_frame->Find(0x10f)->start, 0x100u);
  EXPECT_EQ(eh_frame->Find(0x110), nullptr);
  EXPECT_EQ(eh_frame->Find(0x300)->start, 0x300u);
}

TEST(EhFrame, ManyFunctionsAreSorted) {
  TestCfi cfi;
  uint32_t cie = cfi.Cie();
  std::mt19937_64 random(7);
  for (int i = 0; i < 5000; ++i) {
    cfi.Fde(cie, random() % (uint64_t{1} << 33), 8, {});
  }
  Result<EhFrame> eh_frame = EhFrame::Parse(Section(cfi.bytes()));
  ASSERT_TRUE(eh_frame.ok());
  ASSERT_EQ(eh_frame->fdes().size(), 5000u);
  EXPECT_TRUE(std::is_sorted(
      eh_frame->fdes().begin(), eh_frame->fdes().end(),
      [](const Fde& a, const Fde& b) { return a.start < b.start; }));
}

TEST(EhFrame, ZeroLengthEndsOnlySectionsOfUnknownLength) {
  TestCfi cfi;
  uint32_t cie = cfi.Cie();
  cfi.Fde(cie, 0x100, 0x10, {});
  TestBytes bytes = cfi.bytes();
  size_t end = bytes.size();
  PutU32(bytes, 0);
  TestCfi second;
  second.Fde(second.Cie(), 0x200, 0x10, {});
  Put(bytes, second.bytes().data(), second.bytes().size());
  CfiSection section = Section(bytes);
  EXPECT_EQ(EhFrame::Parse(section)->fdes().size(), 2u);
  section.stops_at_zero = true;
  EXPECT_EQ(EhFrame::Parse(section)->fdes().size(), 1u);
  ASSERT_LT(end, bytes.size());
}

TEST(EhFrame, RecordsOfUnknownVersionAreSkipped) {
  TestCfi cfi;
  uint32_t cie = cfi.Cie();
  cfi.Fde(cie, 0x100, 0x10, {});
  TestBytes bytes = cfi.bytes();
  bytes[8] = 9;
  Result<EhFrame> eh_frame = EhFrame::Parse(Section(bytes));
  ASSERT_TRUE(eh_frame.ok());
  EXPECT_TRUE(eh_frame->fdes().empty());
  EXPECT_EQ(eh_frame->skipped_records(), 1u);
}

// Each CIE reaches to the end of the section, over all that follow.
TEST(EhFrame, CiesThatOverlapAreLeftOut) {
  constexpr uint32_t kCount = 20'000;
  constexpr uint32_t kCieBytes = 20;
  constexpr uint32_t kFdeBytes = 25;
  constexpr uint32_t kBytes = kCount * (kCieBytes + kFdeBytes);
  TestBytes bytes;
  for (uint32_t i = 0; i < kCount; ++i) {
    PutU32(bytes, kBytes - i * kCieBytes - 4);
    PutU32(bytes, 0);
    bytes.insert(bytes.end(), {1, 0, 1, 0x78, 16, 0, 0, 0, 0, 0, 0, 0});
  }
  TestBytes fdes;
  for (uint32_t i = 0; i < kCount; ++i) {
    PutU32(fdes, kFdeBytes - 4);
    PutU32(fdes, kCount * kCieBytes + i * kFdeBytes + 4 - i * kCieBytes);
    PutU64(fdes, 0x1000 + i);
    PutU64(fdes, 1);
    fdes.push_back(0);
  }
  Put(bytes, fdes.data(), fdes.size());
  // Only the first ends where the functions begin: else it would hide them.
  uint32_t length = kCount * kCieBytes - 4;
  std::memcpy(bytes.data(), &length, sizeof(length));
  Result<EhFrame> eh_frame = EhFrame::Parse(Section(bytes));
  ASSERT_TRUE(eh_frame.ok());
  // The last few are short enough.
  EXPECT_LE(eh_frame->fdes().size(), kCount / 100);
  EXPECT_GE(eh_frame->skipped_records(), kCount - kCount / 100);
}

TEST(EhFrame, FunctionsWithEndlessProgramsAreLeftOut) {
  TestCfi cfi;
  uint32_t cie = cfi.Cie();
  cfi.Fde(cie, 0x1000, 16, TestBytes(EhFrame::kMaxFdeBytes, 0x41));
  cfi.Fde(cie, 0x2000, 16, {0x41});
  Result<EhFrame> eh_frame = EhFrame::Parse(Section(cfi.bytes()));
  ASSERT_TRUE(eh_frame.ok());
  ASSERT_EQ(eh_frame->fdes().size(), 1u);
  EXPECT_EQ(eh_frame->fdes()[0].start, 0x2000u);
  EXPECT_EQ(eh_frame->skipped_records(), 1u);
}

// The call frame information of a real file, and where its code is.
class HostileEhFrame : public testing::Test {
 protected:
  void SetUp() override {
    map_ = MapTestFile("/lib64/ld-linux-x86-64.so.2");
    if (!map_) GTEST_SKIP() << "no ld.so here";
    Result<ElfFile> file = ElfFile::Parse(Bytes(map_));
    ASSERT_TRUE(file.ok());
    std::optional<CfiSection> section = FindEhFrame(*file);
    ASSERT_TRUE(section.has_value());
    section_ = *section;
    segments_ = file->load_segments();
  }

  // Reads a copy of its own size, so that a sanitizer sees reads beyond it.
  void Digest(const TestBytes& bytes) {
    CfiSection section = section_;
    section.bytes = bytes;
    Result<EhFrame> eh_frame = EhFrame::Parse(section);
    ASSERT_TRUE(eh_frame.ok());
    RuleSet rules;
    RowList rows = MakeCfiRows(*eh_frame, segments_, rules);
    for (size_t i = 1; i < rows.rows().size(); ++i) {
      ASSERT_LT(rows.rows()[i - 1].file_offset, rows.rows()[i].file_offset);
      ASSERT_LT(rows.rows()[i].rule, rules.rules().size());
    }
  }

  MemoryMap map_;
  CfiSection section_;
  std::vector<LoadSegment> segments_;
};

TEST_F(HostileEhFrame, EveryPrefixIsReadToItsEndAndNotBeyond) {
  for (size_t size = 0; size < section_.bytes.size(); size += 13) {
    Digest(TestBytes(section_.bytes.begin(), section_.bytes.begin() + size));
  }
}

TEST_F(HostileEhFrame, FlippedBytesGiveSortedRows) {
  std::mt19937 random(7);
  for (int round = 0; round < 1000; ++round) {
    TestBytes bytes(section_.bytes.begin(), section_.bytes.end());
    for (int i = 0; i < 10; ++i) {
      bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    }
    Digest(bytes);
  }
}

TEST_F(HostileEhFrame, FlippedBytesOfTheWholeFileAreSurvived) {
  std::mt19937 random(7);
  std::span<const uint8_t> original = Bytes(map_);
  TestBytes bytes(original.begin(), original.end());
  for (int round = 0; round < 100; ++round) {
    std::vector<std::pair<size_t, uint8_t>> undo;
    for (int i = 0; i < 50; ++i) {
      // Mostly headers: there is little to break in code.
      size_t at = random() % (i < 40 ? 1024 : bytes.size());
      undo.emplace_back(at, original[at]);
      bytes[at] = static_cast<uint8_t>(random());
    }
    Result<UnwindTable> table = BuildUnwindTable(bytes);
    if (table.ok() && !table->rows.empty()) {
      EXPECT_EQ(table->rows.back().rule, 0u);
    }
    for (auto [at, byte] : undo) bytes[at] = byte;
  }
}

}  // namespace
}  // namespace pprofd
