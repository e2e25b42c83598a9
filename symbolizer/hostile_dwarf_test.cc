// DWARF that nobody should have made: each file is answered within its limits.
#include <dwarf.h>
#include <gtest/gtest.h>

#include "symbolizer/hostile_elf.h"

namespace pprofd {
namespace {

constexpr uint64_t kText = HostileElf::kTextAddress;
constexpr uint64_t kTextSize = HostileElf::kTextSize;
constexpr uint64_t kHuge = uint64_t{1} << 60;

// Attributes of a unit that covers the code: low_pc, high_pc.
Blob UnitDie() { return Blob().Uleb(1).U64(kText).U32(kTextSize); }
Blob UnitAbbreviation() {
  return Abbreviation(
      1, DW_TAG_compile_unit, true,
      {{DW_AT_low_pc, DW_FORM_addr}, {DW_AT_high_pc, DW_FORM_data4}});
}
// A function that covers the code: low_pc, high_pc, and a reference.
Blob FunctionAbbreviation(uint64_t code, uint64_t reference) {
  return Abbreviation(code, DW_TAG_subprogram, false,
                      {{DW_AT_low_pc, DW_FORM_addr},
                       {DW_AT_high_pc, DW_FORM_data4},
                       {reference, DW_FORM_ref4}});
}
Blob Function(uint64_t code, uint64_t reference) {
  return Blob().Uleb(code).U64(kText).U32(kTextSize).U32(reference);
}

std::vector<uint8_t> WithDwarf(
    const Blob& info, const Blob& abbreviations,
    const std::vector<HostileElf::Section>& more = {}) {
  HostileElf elf;
  elf.Add(".debug_info", info);
  elf.Add(".debug_abbrev", abbreviations);
  for (const HostileElf::Section& section : more) elf.Add(section);
  return elf.Build();
}

// The address has no name, or the one given.
void ExpectName(const HostileAnswer& answer, const std::string& name) {
  const SymbolChain& chain = answer.symbols.Chain(0);
  EXPECT_EQ(chain.empty() ? "" : chain[0].name, name);
}

TEST(HostileDwarf, PlainFileHasItsName) {
  Blob info = DwarfUnit(Blob()
                            .Append(UnitDie())
                            .Uleb(2)
                            .Text("work")
                            .U64(kText)
                            .U32(kTextSize)
                            .U8(0));
  Blob abbreviations =
      UnitAbbreviation().Append(Abbreviation(2, DW_TAG_subprogram, false,
                                             {{DW_AT_name, DW_FORM_string},
                                              {DW_AT_low_pc, DW_FORM_addr},
                                              {DW_AT_high_pc, DW_FORM_data4}}));
  HostileAnswer answer = Ask(WithDwarf(info, abbreviations.U8(0)));
  ExpectWithinLimits(answer);
  ExpectName(answer, "work");
}

TEST(HostileDwarf, ReferencesInCirclesEnd) {
  for (uint64_t attribute : {DW_AT_abstract_origin, DW_AT_specification,
                             DW_AT_type, DW_AT_import, DW_AT_sibling}) {
    uint64_t first = kUnitHeaderBytes + UnitDie().size();
    uint64_t second = first + Function(2, 0).size();
    Blob info = DwarfUnit(Blob()
                              .Append(UnitDie())
                              .Append(Function(2, second))
                              .Append(Function(2, first))
                              .Append(Function(2, second))
                              .U8(0));
    HostileAnswer answer = Ask(WithDwarf(
        info,
        UnitAbbreviation().Append(FunctionAbbreviation(2, attribute)).U8(0)));
    ExpectWithinLimits(answer);
    ExpectName(answer, "");
  }
}

// The unit goes on far beyond its section, and beyond all that is mapped.
TEST(HostileDwarf, UnitsEndWithTheirSection) {
  for (uint32_t skipped : {64u, 1u << 20, 1u << 30}) {
    Blob dies = UnitDie().Uleb(2).U32(skipped).U8(0);
    Blob info = Blob()
                    .U32(0xffffffe0)
                    .U16(5)
                    .U8(1)
                    .U8(8)
                    .U32(0)
                    .Append(dies)
                    .Append(UnitDie());
    Blob abbreviations =
        UnitAbbreviation()
            .Append(Abbreviation(2, DW_TAG_lexical_block, true,
                                 {{DW_AT_const_value, DW_FORM_block4}}))
            .U8(0);
    ExpectWithinLimits(Ask(WithDwarf(info, abbreviations)));
  }
}

TEST(HostileDwarf, UnitsThatImportOneAnotherEnd) {
  Blob dies = Blob().Uleb(1).Uleb(2).U32(0).U8(0);
  uint64_t size = DwarfUnit(dies).size();
  Blob info;
  for (uint64_t target : {size, uint64_t{0}, size}) {
    info.Append(
        DwarfUnit(Blob().Uleb(1).Uleb(2).U32(target + kUnitHeaderBytes).U8(0)));
  }
  Blob abbreviations =
      Abbreviation(1, DW_TAG_partial_unit, true, {})
          .Append(Abbreviation(2, DW_TAG_imported_unit, false,
                               {{DW_AT_import, DW_FORM_ref_addr}}));
  ExpectWithinLimits(Ask(WithDwarf(info, abbreviations.U8(0))));
}

TEST(HostileDwarf, DeepTreesEnd) {
  constexpr size_t kDepth = 3 << 20;
  for (uint64_t tag : {DW_TAG_lexical_block, DW_TAG_namespace,
                       DW_TAG_structure_type, DW_TAG_enumeration_type}) {
    Blob dies = UnitDie().Append(Blob::Filled(kDepth, 2));
    Blob abbreviations =
        UnitAbbreviation().Append(Abbreviation(2, tag, true, {})).U8(0);
    ExpectWithinLimits(Ask(WithDwarf(DwarfUnit(dies), abbreviations)));
  }
}

TEST(HostileDwarf, DeepTreesOfCallsEnd) {
  constexpr size_t kDepth = 1 << 18;
  Blob call = Blob().Uleb(2).U64(kText).U32(kTextSize).U32(kUnitHeaderBytes);
  Blob dies = UnitDie().Repeat(call, kDepth);
  for (uint64_t tag : {DW_TAG_subprogram, DW_TAG_inlined_subroutine}) {
    Blob abbreviations = UnitAbbreviation().Append(
        Abbreviation(2, tag, true,
                     {{DW_AT_low_pc, DW_FORM_addr},
                      {DW_AT_high_pc, DW_FORM_data4},
                      {DW_AT_abstract_origin, DW_FORM_ref4}}));
    ExpectWithinLimits(Ask(WithDwarf(DwarfUnit(dies), abbreviations.U8(0))));
  }
}

TEST(HostileDwarf, UnitsOfHugeLengthHaveNoNames) {
  Blob huge = Blob().U32(0xffffffff).U64(kHuge).U16(5).U8(1).U8(8).U64(0);
  ExpectWithinLimits(
      Ask(WithDwarf(huge.Append(UnitDie()), UnitAbbreviation().U8(0))));
  Blob largest = Blob().U32(0xfffffff0).U16(4).U32(0).U8(8);
  ExpectWithinLimits(
      Ask(WithDwarf(largest.Append(UnitDie()), UnitAbbreviation().U8(0))));
}

TEST(HostileDwarf, HugeBlocksAndOffsetsHaveNoNames) {
  for (uint64_t form :
       {DW_FORM_block, DW_FORM_exprloc, DW_FORM_strx, DW_FORM_addrx,
        DW_FORM_rnglistx, DW_FORM_ref_udata, DW_FORM_indirect}) {
    for (uint64_t attribute : {DW_AT_name, DW_AT_low_pc, DW_AT_ranges,
                               DW_AT_abstract_origin, DW_AT_sibling}) {
      Blob dies = UnitDie().Uleb(2).Uleb(kHuge).U8(0);
      Blob abbreviations = UnitAbbreviation().Append(
          Abbreviation(2, DW_TAG_subprogram, true, {{attribute, form}}));
      HostileAnswer answer =
          Ask(WithDwarf(DwarfUnit(dies), abbreviations.U8(0)));
      ExpectWithinLimits(answer);
      ExpectName(answer, "");
    }
  }
}

// Each abbreviation costs memory for each unit that uses it.
TEST(HostileDwarf, MillionsOfAbbreviationsAreRefused) {
  constexpr uint64_t kCount = 3 << 20;
  Blob abbreviations;
  for (uint64_t code = 1; code <= kCount; ++code) {
    abbreviations.Uleb(code).Uleb(DW_TAG_compile_unit).U8(1).U8(0).U8(0);
  }
  Blob info;
  info.Repeat(DwarfUnit(Blob().Uleb(kCount).U8(0)), 64);
  ExpectWithinLimits(Ask(WithDwarf(info, abbreviations.U8(0))));
}

// Each DIE is one byte, and has a million attributes.
TEST(HostileDwarf, MillionsOfAttributesAreRefused) {
  Blob many = Blob().Uleb(2).Uleb(DW_TAG_lexical_block).U8(0);
  many.Repeat(Blob().Uleb(DW_AT_external).Uleb(DW_FORM_flag_present), 1 << 20)
      .U8(0)
      .U8(0);
  Blob dies = UnitDie().Append(Blob::Filled(1 << 20, 2));
  ExpectWithinLimits(
      Ask(WithDwarf(DwarfUnit(dies), UnitAbbreviation().Append(many).U8(0))));
}

// A list of ranges that many units or functions share.
class SharedRanges {
 public:
  explicit SharedRanges(uint64_t base) {
    lists_.U32(0).U16(5).U8(8).U8(0).U32(0);
    lists_.U8(DW_RLE_base_address).U64(base);
    for (uint64_t i = 0; i < kCount; ++i) {
      lists_.U8(DW_RLE_offset_pair).Uleb(i % kTextSize).Uleb(i % kTextSize + 1);
    }
    lists_.U8(DW_RLE_end_of_list);
  }
  HostileElf::Section section() const {
    return {.name = ".debug_rnglists", .bytes = lists_};
  }
  static Blob Die(uint64_t code) { return Blob().Uleb(code).U32(12); }
  static Blob Abbreviations() {
    return Abbreviation(1, DW_TAG_compile_unit, true,
                        {{DW_AT_ranges, DW_FORM_sec_offset}})
        .Append(Abbreviation(2, DW_TAG_subprogram, false,
                             {{DW_AT_ranges, DW_FORM_sec_offset}}))
        .U8(0);
  }

 private:
  static constexpr uint64_t kCount = 1 << 20;
  Blob lists_;
};

TEST(HostileDwarf, UnitsThatShareAMillionRangesAreCut) {
  for (uint64_t base : {kText, uint64_t{0x70000000}}) {
    SharedRanges ranges(base);
    Blob unit = DwarfUnit(SharedRanges::Die(1).U8(0));
    ExpectWithinLimits(
        Ask(WithDwarf(Blob().Repeat(unit, 1 << 16),
                      SharedRanges::Abbreviations(), {ranges.section()})),
        uint64_t{512} << 20);
  }
}

TEST(HostileDwarf, FunctionsThatShareAMillionRangesAreCut) {
  for (uint64_t base : {kText, uint64_t{0x70000000}}) {
    SharedRanges ranges(base);
    Blob dies = SharedRanges::Die(1).Repeat(SharedRanges::Die(2), 1 << 18);
    ExpectWithinLimits(
        Ask(WithDwarf(DwarfUnit(dies.U8(0)), SharedRanges::Abbreviations(),
                      {ranges.section()})),
        uint64_t{512} << 20);
  }
}

// A line program of a million rows, with hostile names.
class LineProgram {
 public:
  LineProgram(size_t rows, const Blob& names) {
    Blob header;
    header.U8(1).U8(1).U8(1).U8(0xfb).U8(14).U8(13);
    header.Append(Blob({0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1})).Append(names);
    Blob program;
    program.U8(0).Uleb(9).U8(DW_LNE_set_address).U64(kText);
    program.Append(Blob::Filled(rows, 13 + 14 + 7));
    program.U8(0).Uleb(1).U8(DW_LNE_end_sequence);
    Blob body;
    body.U16(4).U32(header.size()).Append(header).Append(program);
    line_.U32(body.size()).Append(body);
  }
  HostileElf::Section section() const {
    return {.name = ".debug_line", .bytes = line_};
  }
  static Blob Abbreviations() {
    return Abbreviation(1, DW_TAG_compile_unit, true,
                        {{DW_AT_low_pc, DW_FORM_addr},
                         {DW_AT_high_pc, DW_FORM_data4},
                         {DW_AT_stmt_list, DW_FORM_sec_offset}})
        .Append(Abbreviation(2, DW_TAG_subprogram, false,
                             {{DW_AT_low_pc, DW_FORM_addr},
                              {DW_AT_high_pc, DW_FORM_data4},
                              {DW_AT_name, DW_FORM_string}}))
        .U8(0);
  }
  // A unit for `size` bytes of the code, with the lines.
  static Blob Unit(uint64_t start, uint64_t size) {
    return DwarfUnit(Blob()
                         .Uleb(1)
                         .U64(start)
                         .U32(size)
                         .U32(0)
                         .Uleb(2)
                         .U64(start)
                         .U32(size)
                         .Text("f")
                         .U8(0));
  }

 private:
  Blob line_;
};

TEST(HostileDwarf, UnitsThatShareALongLineProgramStayWithinMemory) {
  LineProgram lines(2 << 20, Blob().U8(0).Text("a.c").U8(0).U8(0).U8(0).U8(0));
  Blob info;
  for (uint64_t i = 0; i < 1024; ++i) {
    info.Append(LineProgram::Unit(kText + i * 64, 64));
  }
  HostileQuestion question;
  question.address_count = 1024;
  ExpectWithinLimits(
      Ask(WithDwarf(info, LineProgram::Abbreviations(), {lines.section()}),
          question),
      uint64_t{768} << 20);
}

TEST(HostileDwarf, LongPathsAreCut) {
  Blob names;
  names.Append(Blob::Filled(8 << 20, 'd')).U8(0).U8(0);
  for (int i = 0; i < 256; ++i) {
    names.Text("f" + std::to_string(i)).Uleb(1).Uleb(0).Uleb(0);
  }
  LineProgram lines(4, names.U8(0));
  Blob calls;
  for (uint64_t i = 0; i < 250; ++i) {
    calls.Uleb(3).U64(kText).U32(kTextSize).U8(i);
  }
  Blob dies = Blob()
                  .Uleb(1)
                  .U64(kText)
                  .U32(kTextSize)
                  .U32(0)
                  .Uleb(2)
                  .U64(kText)
                  .U32(kTextSize)
                  .Text("f")
                  .Append(calls);
  Blob abbreviations = Abbreviation(1, DW_TAG_compile_unit, true,
                                    {{DW_AT_low_pc, DW_FORM_addr},
                                     {DW_AT_high_pc, DW_FORM_data4},
                                     {DW_AT_stmt_list, DW_FORM_sec_offset}});
  abbreviations
      .Append(Abbreviation(2, DW_TAG_subprogram, true,
                           {{DW_AT_low_pc, DW_FORM_addr},
                            {DW_AT_high_pc, DW_FORM_data4},
                            {DW_AT_name, DW_FORM_string}}))
      .Append(Abbreviation(3, DW_TAG_inlined_subroutine, true,
                           {{DW_AT_low_pc, DW_FORM_addr},
                            {DW_AT_high_pc, DW_FORM_data4},
                            {DW_AT_call_file, DW_FORM_data1}}))
      .U8(0);
  HostileAnswer answer =
      Ask(WithDwarf(DwarfUnit(dies), abbreviations, {lines.section()}));
  ExpectWithinLimits(answer);
  for (const SymbolLine& line : answer.symbols.Chain(0)) {
    EXPECT_LT(line.file.size(), 16u << 10);
  }
}

// Every file name starts at the same endless text.
TEST(HostileDwarf, NamesWithoutAnEndCostLittle) {
  Blob header;
  header.U8(1).U8(1).U8(1).U8(0xfb).U8(14).U8(13);
  header.Append(Blob({0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1}));
  for (int table = 0; table < 2; ++table) {
    header.U8(1).Uleb(1).Uleb(DW_FORM_line_strp).Uleb(65534);
    header.Repeat(Blob().U32(0), 65534);
  }
  Blob body;
  body.U16(5).U8(8).U8(0).U32(header.size()).Append(header);
  Blob line = Blob().U32(body.size()).Append(body);
  Blob info = LineProgram::Unit(kText, kTextSize);
  ExpectWithinLimits(Ask(WithDwarf(
      info, LineProgram::Abbreviations(),
      {{.name = ".debug_line", .bytes = line},
       {.name = ".debug_line_str", .bytes = Blob::Filled(32 << 20, 'x')}})));
}

TEST(HostileDwarf, LineTablesOfHugeLengthGiveNoLines) {
  for (const Blob& line :
       {Blob().U32(0xffffffff).U64(kHuge).U16(5).U8(8).U8(0).U64(kHuge),
        Blob().U32(0xfffffff0).U16(4).U32(0xffffffff),
        Blob().U32(16).U16(3).U32(0xffffff00).U64(0)}) {
    HostileAnswer answer = Ask(WithDwarf(
        LineProgram::Unit(kText, kTextSize), LineProgram::Abbreviations(),
        {{.name = ".debug_line", .bytes = line}}));
    ExpectWithinLimits(answer);
    ExpectName(answer, "f");
    EXPECT_EQ(answer.symbols.Chain(0)[0].line, 0);
  }
}

// Names that share one text of a megabyte without an end, each from elsewhere.
TEST(HostileDwarf, LongNamesOfManyFunctionsAreCut) {
  constexpr uint64_t kCount = 4096;
  Blob dies = UnitDie();
  for (uint64_t i = 0; i < kCount; ++i) {
    dies.Uleb(2).U32(i).U64(kText + i * 16).U32(16);
  }
  Blob abbreviations =
      UnitAbbreviation().Append(Abbreviation(2, DW_TAG_subprogram, false,
                                             {{DW_AT_name, DW_FORM_strp},
                                              {DW_AT_low_pc, DW_FORM_addr},
                                              {DW_AT_high_pc, DW_FORM_data4}}));
  HostileQuestion question;
  question.address_count = kCount;
  Blob text = Blob::Filled(1 << 20, '<');
  HostileAnswer answer =
      Ask(WithDwarf(DwarfUnit(dies.U8(0)), abbreviations.U8(0),
                    {{.name = ".debug_str", .bytes = text.U8(0)}}),
          question);
  ExpectWithinLimits(answer);
}

}  // namespace
}  // namespace pprofd
