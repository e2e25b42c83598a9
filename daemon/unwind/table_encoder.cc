#include "daemon/unwind/table_encoder.h"

#include <cstring>

namespace pprofd {
namespace {

constexpr uint64_t kPageBytes = uint64_t{1} << PPROFD_PAGE_SHIFT;
constexpr uint64_t kGranuleBytes = uint64_t{1} << PPROFD_GRANULE_SHIFT;

}  // namespace

TableEncoder::TableEncoder(const UnwindTable& table,
                           std::span<const uint16_t> global_rules)
    : rows_(table.rows), global_rules_(global_rules) {
  if (rows_.empty()) return;
  uint64_t first = rows_.front().file_offset >> PPROFD_PAGE_SHIFT;
  uint64_t last = rows_.back().file_offset;
  // The last row says where the others end.
  if (rows_.back().rule == 0 && last > 0) --last;
  first_page_ = static_cast<uint32_t>(first);
  page_count_ = static_cast<uint32_t>((last >> PPROFD_PAGE_SHIFT) - first + 1);
  page_start_ = first << PPROFD_PAGE_SHIFT;
}

std::span<const uint8_t> TableEncoder::EncodePage() {
  uint64_t limit = page_start_ + kPageBytes;
  bool has_row =
      next_row_ < rows_.size() && rows_[next_row_].file_offset < limit;
  if (!has_row && rule_ == 0) {
    page_start_ = limit;
    return {};
  }
  piece_.assign(kHeaderBytes, 0);
  for (size_t i = 0; i < PPROFD_GRANULES_PER_PAGE; ++i) {
    uint32_t entry = EncodeGranule(page_start_ + i * kGranuleBytes);
    std::memcpy(piece_.data() + i * sizeof(entry), &entry, sizeof(entry));
  }
  page_start_ = limit;
  return piece_;
}

uint32_t TableEncoder::EncodeGranule(uint64_t start) {
  pcs_.clear();
  numbers_.clear();
  uint64_t limit = start + kGranuleBytes;
  for (; next_row_ < rows_.size(); ++next_row_) {
    const UnwindRow& row = rows_[next_row_];
    if (row.file_offset >= limit) break;
    if (row.file_offset > start) {
      if (pcs_.empty()) {
        pcs_.push_back(0);
        numbers_.push_back(rule_);
      }
      pcs_.push_back(static_cast<uint8_t>(row.file_offset - start));
      numbers_.push_back(global_rules_[row.rule]);
    }
    rule_ = global_rules_[row.rule];
  }
  if (pcs_.empty()) return PPROFD_GRANULE_ONE_RULE | rule_;
  uint32_t words = static_cast<uint32_t>((pcs_.size() + 7) / 8);
  uint32_t block = static_cast<uint32_t>(piece_.size() / PPROFD_REFERENCE_UNIT);
  AppendBlock();
  return block | (words - 1) << PPROFD_GRANULE_WORDS_SHIFT;
}

void TableEncoder::AppendBlock() {
  size_t padded = (pcs_.size() + 7) / 8 * 8;
  pcs_.resize(padded, 0xff);
  numbers_.resize(padded, numbers_.back());
  piece_.insert(piece_.end(), pcs_.begin(), pcs_.end());
  size_t at = piece_.size();
  piece_.resize(at + padded * sizeof(uint16_t));
  std::memcpy(piece_.data() + at, numbers_.data(), padded * sizeof(uint16_t));
}

}  // namespace pprofd
