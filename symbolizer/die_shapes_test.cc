#include "symbolizer/die_shapes.h"

#include <dwarf.h>
#include <gtest/gtest.h>

#include <vector>

namespace pprofd {
namespace {

constexpr UnitFormat kFormat{.version = 5, .address_size = 8, .offset_size = 4};

// Codes, tags, attributes and forms below 0x80 are bytes of themselves.
constexpr uint8_t kEnd = 0;

DieShapes Shapes(const std::vector<uint8_t>& abbreviations) {
  return DieShapes::Read(abbreviations, kFormat);
}

TEST(DieShapes, ReadsWhereAFunctionIsAndSkipsTheRest) {
  DieShapes shapes = Shapes({1, DW_TAG_subprogram, DW_CHILDREN_yes,     //
                             DW_AT_name, DW_FORM_string,                //
                             DW_AT_decl_line, DW_FORM_data1,            //
                             DW_AT_sibling, DW_FORM_ref4,               //
                             DW_AT_low_pc, DW_FORM_addr,                //
                             DW_AT_high_pc, DW_FORM_udata, kEnd, kEnd,  //
                             kEnd});
  const DieShape* shape = shapes.Find(1);
  ASSERT_NE(shape, nullptr);
  EXPECT_TRUE(shape->has_children && shape->has_code && shape->may_hold_code);
  std::vector<uint8_t> die = {'f', 0, 9, 0x44, 0, 0, 0,    0x10, 0x20,
                              0,   0, 0, 0,    0, 0, 0x80, 1,    0xee};
  ByteReader reader(die);
  DieValues values = shapes.ReadValues(*shape, reader);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.U8(), 0xee);
  EXPECT_EQ(values.sibling.value, 0x44u);
  EXPECT_EQ(values.low_pc.form, DW_FORM_addr);
  EXPECT_EQ(values.low_pc.value, 0x2010u);
  EXPECT_EQ(values.high_pc.value, 0x80u);
  EXPECT_TRUE(values.high_pc.is_constant());
  EXPECT_EQ(values.ranges.form, 0);
}

TEST(DieShapes, GoesOverDeclarationsWithoutReadingThem) {
  DieShapes shapes = Shapes({1, DW_TAG_subprogram, DW_CHILDREN_no,     //
                             DW_AT_decl_file, DW_FORM_data2,           //
                             DW_AT_declaration, DW_FORM_flag_present,  //
                             DW_AT_decl_line, DW_FORM_data16,          //
                             kEnd, kEnd, kEnd});
  const DieShape* shape = shapes.Find(1);
  ASSERT_NE(shape, nullptr);
  EXPECT_FALSE(shape->has_code);
  std::vector<uint8_t> die(19, 0xee);
  ByteReader reader(die);
  EXPECT_EQ(shapes.ReadSibling(*shape, reader).form, 0);
  EXPECT_EQ(reader.remaining(), 1u);
}

TEST(DieShapes, TakesImplicitValuesFromTheAbbreviation) {
  DieShapes shapes = Shapes({7, DW_TAG_inlined_subroutine, DW_CHILDREN_no,  //
                             DW_AT_low_pc, DW_FORM_addrx1,                  //
                             DW_AT_call_line, DW_FORM_implicit_const, 42,   //
                             kEnd, kEnd, kEnd});
  EXPECT_EQ(shapes.Find(1), nullptr);
  EXPECT_EQ(shapes.Find(0), nullptr);
  const DieShape* shape = shapes.Find(7);
  ASSERT_NE(shape, nullptr);
  std::vector<uint8_t> die = {3};
  ByteReader reader(die);
  DieValues values = shapes.ReadValues(*shape, reader);
  EXPECT_EQ(values.low_pc.value, 3u);
  EXPECT_EQ(values.call_line.value, 42u);
  EXPECT_TRUE(reader.ok() && reader.AtEnd());
}

TEST(DieShapes, FailsAtFormsThatNobodyKnows) {
  DieShapes shapes = Shapes(
      {1, DW_TAG_variable, DW_CHILDREN_no, DW_AT_name, 0x7f, kEnd, kEnd, kEnd});
  const DieShape* shape = shapes.Find(1);
  ASSERT_NE(shape, nullptr);
  std::vector<uint8_t> die(64);
  ByteReader reader(die);
  shapes.ReadSibling(*shape, reader);
  EXPECT_FALSE(reader.ok());
}

TEST(DieShapes, EndsWhereTheTableIsCut) {
  std::vector<uint8_t> table = {
      1, DW_TAG_variable, DW_CHILDREN_no, kEnd,      kEnd,
      2, DW_TAG_variable, DW_CHILDREN_no, DW_AT_name};
  DieShapes shapes = Shapes(table);
  EXPECT_NE(shapes.Find(1), nullptr);
  EXPECT_EQ(shapes.Find(2), nullptr);
}

TEST(DieShapes, RefusesAbbreviationsWithoutMeasure) {
  std::vector<uint8_t> table = {1, DW_TAG_inlined_subroutine, DW_CHILDREN_no};
  for (size_t i = 0; i <= DieShapes::kMaxStepsOfShape; ++i) {
    table.insert(table.end(), {DW_AT_call_line, DW_FORM_implicit_const, 1});
  }
  table.insert(table.end(), {kEnd, kEnd, kEnd});
  EXPECT_EQ(Shapes(table).Find(1), nullptr);
}

}  // namespace
}  // namespace pprofd
