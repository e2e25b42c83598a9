// Values survive the wire; what makes no sense does not get in.
#include "symbolizer/service/wire.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

UnwindTable SomeTable() {
  UnwindTable table;
  table.rules = {kRuleNone, kRuleSignal, kRuleEnd};
  table.rows = {{.file_offset = 0x1000, .rule = 1},
                {.file_offset = 0x2000, .rule = 2},
                {.file_offset = 0x3000, .rule = 0}};
  table.entry_gap_start = 0x500;
  table.entry_gap_limit = 0x520;
  table.stats.eh_frame_fdes = 2;
  table.stats.rows_by_kind[3] = 7;
  return table;
}

wire::Table Sent(const UnwindTable& table) {
  wire::Table message;
  ToWire(table, &message);
  return message;
}

TEST(Wire, KeepsAnUnwindTable) {
  UnwindTable table = SomeTable();
  Result<UnwindTable> received = FromWire(Sent(table));
  ASSERT_TRUE(received.ok()) << received.status().ToString();
  EXPECT_EQ(received->rows, table.rows);
  ASSERT_EQ(received->rules.size(), 3u);
  EXPECT_EQ(RuleBits(received->rules[1]), RuleBits(kRuleSignal));
  EXPECT_EQ(received->entry_gap_start, 0x500u);
  EXPECT_EQ(received->entry_gap_limit, 0x520u);
  EXPECT_EQ(received->stats.eh_frame_fdes, 2u);
  EXPECT_EQ(received->stats.rows_by_kind[3], 7u);
}

TEST(Wire, KeepsAnEmptyUnwindTable) {
  UnwindTable table;
  table.rules = {kRuleNone};
  EXPECT_TRUE(FromWire(Sent(table)).ok());
}

TEST(Wire, RefusesRowsOutOfOrder) {
  UnwindTable table = SomeTable();
  std::swap(table.rows[0], table.rows[1]);
  EXPECT_FALSE(FromWire(Sent(table)).ok());
}

TEST(Wire, RefusesRowsWithRulesThatDoNotExist) {
  UnwindTable table = SomeTable();
  table.rows[1].rule = 3;
  EXPECT_FALSE(FromWire(Sent(table)).ok());
}

TEST(Wire, RefusesATableWithoutAnEnd) {
  UnwindTable table = SomeTable();
  table.rows.pop_back();
  EXPECT_FALSE(FromWire(Sent(table)).ok());
}

TEST(Wire, RefusesATableWithoutTheRuleForNothing) {
  UnwindTable table = SomeTable();
  table.rules[0] = kRuleEnd;
  EXPECT_FALSE(FromWire(Sent(table)).ok());
}

TEST(Wire, RefusesHalfARow) {
  wire::Table message = Sent(SomeTable());
  message.mutable_rows()->pop_back();
  EXPECT_FALSE(FromWire(message).ok());
}

ModuleSymbols SomeNames() {
  ModuleSymbols symbols;
  symbols.functions = {
      {.name = "f", .system_name = "_Z1fv", .file = "/f.cc", .start_line = 3},
      {.name = "g", .system_name = "g", .file = "", .start_line = 0}};
  symbols.calls = {{.function = 0, .line = 4, .column = 5},
                   {.function = 1, .line = 6, .column = 0},
                   {.function = 0, .line = 7, .column = 1}};
  symbols.chain_ends = {2, 2, 3};
  symbols.has_filenames = true;
  return symbols;
}

TEST(Wire, KeepsNames) {
  wire::Names message;
  ToWire(SomeNames(), &message);
  Result<ModuleSymbols> received = FromWire(message, 3);
  ASSERT_TRUE(received.ok()) << received.status().ToString();
  EXPECT_TRUE(received->has_filenames);
  EXPECT_FALSE(received->has_inline_frames);
  SymbolChain first = received->Chain(0);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].system_name, "_Z1fv");
  EXPECT_EQ(first[0].start_line, 3);
  EXPECT_EQ(first[1].name, "g");
  EXPECT_EQ(first[1].system_name, "g");
  EXPECT_EQ(first[1].line, 6);
  EXPECT_TRUE(received->Chain(1).empty());
  EXPECT_EQ(received->Chain(2).at(0).column, 1);
}

TEST(Wire, RefusesNamesForOtherAddressesThanAsked) {
  wire::Names message;
  ToWire(SomeNames(), &message);
  EXPECT_FALSE(FromWire(message, 2).ok());
}

TEST(Wire, RefusesFunctionsThatDoNotExist) {
  wire::Names message;
  ToWire(SomeNames(), &message);
  message.set_call_functions(1, 2);
  EXPECT_FALSE(FromWire(message, 3).ok());
}

TEST(Wire, RefusesChainsLongerThanTheirCalls) {
  wire::Names message;
  ToWire(SomeNames(), &message);
  message.set_chain_lengths(0, UINT32_MAX);
  EXPECT_FALSE(FromWire(message, 3).ok());
}

TEST(Wire, RefusesAStackDeeperThanStacksAre) {
  wire::UnwoundStack message;
  message.set_result(static_cast<uint32_t>(UnwindResult::kComplete));
  EXPECT_TRUE(FromWire(message).ok());
  for (int i = 0; i <= PPROFD_MAX_USER_FRAMES; ++i) message.add_frames(1);
  EXPECT_FALSE(FromWire(message).ok());
}

TEST(Wire, RefusesAStackWithoutAResult) {
  EXPECT_FALSE(FromWire(wire::UnwoundStack()).ok());
}

wire::Allocator SomeAllocator() {
  AllocatorReport report;
  report.family = "glibc";
  report.functions = {{.name = "malloc",
                       .kind = PPROFD_HEAP_MALLOC,
                       .entry = {0x1000},
                       .probe = {0x1003},
                       .is_emulated = true,
                       .registers = {0, 4, 1}},
                      {.name = "free",
                       .kind = PPROFD_HEAP_FREE,
                       .entry = {0x2000},
                       .probe = {0x2000},
                       .registers = {5, 4, 1}}};
  report.slots = {{"calloc", {0x4000}}};
  report.has_symbols = true;
  wire::Allocator message;
  ToWire(report, &message);
  return message;
}

TEST(Wire, KeepsAnAllocator) {
  Result<AllocatorReport> received = FromWire(SomeAllocator());
  ASSERT_TRUE(received.ok()) << received.status().ToString();
  EXPECT_EQ(received->family, "glibc");
  ASSERT_EQ(received->functions.size(), 2u);
  const AllocatorFunction& first = received->functions[0];
  EXPECT_EQ(first.name, "malloc");
  EXPECT_EQ(first.kind, uint32_t{PPROFD_HEAP_MALLOC});
  EXPECT_EQ(first.entry, FileOffset{0x1000});
  EXPECT_EQ(first.probe, FileOffset{0x1003});
  EXPECT_TRUE(first.is_emulated);
  EXPECT_EQ(first.registers[0], 0);
  EXPECT_EQ(first.registers[1], 4);
  EXPECT_FALSE(received->functions[1].is_emulated);
  ASSERT_EQ(received->slots.size(), 1u);
  EXPECT_EQ(received->slots[0].name, "calloc");
  EXPECT_EQ(received->slots[0].address, ModuleAddr{0x4000});
  EXPECT_TRUE(received->has_symbols);
  EXPECT_FALSE(received->is_static);
}

TEST(Wire, KeepsThatAFileProvidesNoAllocator) {
  Result<AllocatorReport> received = FromWire(wire::Allocator());
  ASSERT_TRUE(received.ok());
  EXPECT_EQ(received->family, "");
}

TEST(Wire, RefusesProbesThatMakeNoSense) {
  auto refuses = [](auto change) {
    wire::Allocator message = SomeAllocator();
    change(*message.mutable_functions(1));
    return !FromWire(message).ok();
  };
  EXPECT_TRUE(refuses([](auto& f) { f.set_kind(0); }));
  EXPECT_TRUE(refuses([](auto& f) { f.set_kind(PPROFD_HEAP_LAST_KIND + 1); }));
  EXPECT_TRUE(refuses([](auto& f) { f.set_registers(0, 16); }));
  EXPECT_TRUE(refuses([](auto& f) { f.add_registers(0); }));
  EXPECT_TRUE(refuses([](auto& f) { f.clear_registers(); }));
  EXPECT_TRUE(refuses([](auto& f) { f.set_probe(f.entry() - 1); }));
  EXPECT_TRUE(refuses([](auto& f) { f.set_probe(f.entry() + 96); }));
  EXPECT_TRUE(refuses([](auto& f) { f.set_name(""); }));
  EXPECT_TRUE(refuses([](auto& f) { f.set_name(std::string(256, 'f')); }));
}

TEST(Wire, RefusesMoreOfAnAllocatorThanThereMayBe) {
  wire::Allocator message = SomeAllocator();
  for (int i = 0; i < 63; ++i) {
    *message.add_functions() = message.functions(0);
  }
  EXPECT_FALSE(FromWire(message).ok());
  message = SomeAllocator();
  message.set_family(std::string(256, 'f'));
  EXPECT_FALSE(FromWire(message).ok());
  message = SomeAllocator();
  message.clear_family();
  EXPECT_FALSE(FromWire(message).ok());
  message = SomeAllocator();
  message.mutable_slots(0)->set_name(std::string(256, 's'));
  EXPECT_FALSE(FromWire(message).ok());
  message = SomeAllocator();
  for (int i = 0; i < 4096; ++i) message.add_slots()->set_name("free");
  EXPECT_FALSE(FromWire(message).ok());
}

TEST(Wire, KeepsWhatAFailureIs) {
  wire::Failure message;
  ToWire(Status(StatusCode::kUnsupported, "not an ELF file"), &message);
  EXPECT_EQ(FromWire(message).code(), StatusCode::kUnsupported);
  EXPECT_EQ(FromWire(message).message(), "not an ELF file");
  message.set_code(0);  // a failure is never Ok
  EXPECT_FALSE(FromWire(message).ok());
}

}  // namespace
}  // namespace pprofd
