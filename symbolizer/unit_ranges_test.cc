#include "symbolizer/unit_ranges.h"

#include <dwarf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace pprofd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;

class UnitRangesTest : public testing::Test {
 protected:
  static void Put(std::vector<uint8_t>& bytes, uint64_t value, int size = 8) {
    for (int i = 0; i < size; ++i) {
      bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
    }
  }

  Ranges Of(const DieValues& values) {
    UnitRanges::Sections sections;
    sections.base = 0x1000;
    sections.addresses = addresses_;
    sections.lists = lists_;
    sections.list_table = list_table_;
    std::vector<RangeMap::Range> found;
    UnitRanges({.version = version_, .address_size = 8, .offset_size = 4},
               sections)
        .Append(values, found);
    Ranges result;
    for (const RangeMap::Range& range : found) {
      result.emplace_back(range.start, range.end);
    }
    return result;
  }
  Ranges OfList(uint16_t form, uint64_t value) {
    DieValues values;
    values.ranges = {.form = form, .value = value};
    return Of(values);
  }

  uint16_t version_ = 5;
  uint64_t list_table_ = 12;
  std::vector<uint8_t> addresses_;
  std::vector<uint8_t> lists_;
};

TEST_F(UnitRangesTest, CountsAnEndFromTheStartUnlessItIsAnAddress) {
  DieValues values;
  values.low_pc = {.form = DW_FORM_addr, .value = 0x2000};
  values.high_pc = {.form = DW_FORM_data4, .value = 0x10};
  EXPECT_THAT(Of(values), ElementsAre(Pair(0x2000, 0x2010)));
  values.high_pc = {.form = DW_FORM_addr, .value = 0x2010};
  EXPECT_THAT(Of(values), ElementsAre(Pair(0x2000, 0x2010)));
}

TEST_F(UnitRangesTest, FindsAddressesByNumber) {
  Put(addresses_, 0x3000);
  Put(addresses_, 0x4000);
  DieValues values;
  values.low_pc = {.form = DW_FORM_addrx, .value = 1};
  values.high_pc = {.form = DW_FORM_data1, .value = 4};
  EXPECT_THAT(Of(values), ElementsAre(Pair(0x4000, 0x4004)));
  values.low_pc.value = 2;
  EXPECT_THAT(Of(values), IsEmpty());
  values.low_pc.value = UINT64_MAX;
  EXPECT_THAT(Of(values), IsEmpty());
}

TEST_F(UnitRangesTest, ReadsListsOfVersion4) {
  version_ = 4;
  for (uint64_t value : {0x10ul, 0x20ul, UINT64_MAX, 0x5000ul, 0x0ul, 0x8ul,
                         0x0ul, 0x0ul, 0x1ul, 0x2ul}) {
    Put(lists_, value);
  }
  EXPECT_THAT(OfList(DW_FORM_sec_offset, 0),
              ElementsAre(Pair(0x1010, 0x1020), Pair(0x5000, 0x5008)));
}

TEST_F(UnitRangesTest, ReadsListsOfVersion5) {
  Put(addresses_, 0x7000);
  lists_ = {DW_RLE_offset_pair,
            1,
            2,
            DW_RLE_startx_length,
            0,
            9,
            DW_RLE_base_addressx,
            0,
            DW_RLE_offset_pair,
            3,
            4,
            DW_RLE_start_length};
  Put(lists_, 0x9000);
  lists_.insert(lists_.end(), {5, DW_RLE_end_of_list, DW_RLE_offset_pair, 1});
  EXPECT_THAT(OfList(DW_FORM_sec_offset, 0),
              ElementsAre(Pair(0x1001, 0x1002), Pair(0x7000, 0x7009),
                          Pair(0x7003, 0x7004), Pair(0x9000, 0x9005)));
}

TEST_F(UnitRangesTest, FindsListsByNumber) {
  Put(lists_, 0, 8);  // the header, without the count
  Put(lists_, 1, 4);
  Put(lists_, 4, 4);  // one list, behind this table
  lists_.insert(lists_.end(), {DW_RLE_offset_pair, 1, 2, DW_RLE_end_of_list});
  EXPECT_THAT(OfList(DW_FORM_rnglistx, 0), ElementsAre(Pair(0x1001, 0x1002)));
  EXPECT_THAT(OfList(DW_FORM_rnglistx, 1), IsEmpty());
}

TEST_F(UnitRangesTest, StopsAtTheEndOfTheSection) {
  lists_ = {DW_RLE_offset_pair, 1, 2, DW_RLE_offset_pair, 3};
  EXPECT_THAT(OfList(DW_FORM_sec_offset, 0), ElementsAre(Pair(0x1001, 0x1002)));
  EXPECT_THAT(OfList(DW_FORM_sec_offset, UINT64_MAX), IsEmpty());
  list_table_ = UINT64_MAX;
  EXPECT_THAT(OfList(DW_FORM_rnglistx, 0), IsEmpty());
}

}  // namespace
}  // namespace pprofd
