// TableEncoder: an unwind table as the page pieces of bpf/abi.h.
//
// Pages are encoded one after the other into a buffer of this object, so that a
// table of any size needs at most one piece of memory.
// Borrows: the table and the rule numbers.
// Thread: one.
// Bound: kMaxPieceBytes.
#ifndef DAEMON_UNWIND_TABLE_ENCODER_H_
#define DAEMON_UNWIND_TABLE_ENCODER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "daemon/unwind/unwind_table.h"

namespace pprofd {

class TableEncoder {
 public:
  static constexpr size_t kHeaderBytes =
      PPROFD_GRANULES_PER_PAGE * sizeof(uint32_t);
  static constexpr size_t kMaxPieceBytes =
      kHeaderBytes + PPROFD_GRANULES_PER_PAGE * PPROFD_MAX_BLOCK_WORDS * 24;

  // `global_rules[i]` is the global number of table.rules[i].
  TableEncoder(const UnwindTable& table,
               std::span<const uint16_t> global_rules);

  uint32_t first_page() const { return first_page_; }
  uint32_t page_count() const { return page_count_; }

  // The piece of the next page, from first_page() on; empty when it has no
  // rows. Its size is a multiple of 8. Valid until the next call.
  std::span<const uint8_t> EncodePage();

 private:
  uint32_t EncodeGranule(uint64_t start);
  void AppendBlock();

  const std::vector<UnwindRow>& rows_;
  std::span<const uint16_t> global_rules_;
  uint32_t first_page_ = 0;
  uint32_t page_count_ = 0;
  uint64_t page_start_ = 0;
  size_t next_row_ = 0;  // first row above the position
  uint16_t rule_ = 0;    // global number, in force at the position
  std::vector<uint8_t> piece_;
  std::vector<uint8_t> pcs_;  // of the granule being encoded
  std::vector<uint16_t> numbers_;
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_TABLE_ENCODER_H_
