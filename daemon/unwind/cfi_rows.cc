#include "daemon/unwind/cfi_rows.h"

#include <algorithm>

#include "daemon/unwind/cfi_interpreter.h"

namespace pprofd {
namespace {

// The parts of a CfiRow that a rule is made of.
struct RuleKey {
  uint64_t cfa = 0;
  uint64_t rbp = 0;
  uint64_t rip = 0;
  bool operator==(const RuleKey&) const = default;

  size_t Hash() const {
    uint64_t mixed = cfa * 0x9e3779b97f4a7c15 ^ rbp * 0xc2b2ae3d27d4eb4f ^
                     rip * 0x165667b19e3779f9;
    return mixed >> 52;  // 12 bits
  }
};

// Numbers of rules by what they were made of: neighbours mostly repeat the
// last key or one of a few hundred.
class RuleCache {
 public:
  RuleCache(const CfiSection& section, RuleSet& rules)
      : section_(section), rules_(rules), entries_(4096) {}

  uint16_t Number(const CfiRow& row, bool is_signal_frame) {
    if (is_signal_frame) {
      return rules_.Number(MakeUnwindRule(row, true, section_));
    }
    RuleKey key{row.cfa.bits(), row.registers[kRegisterRbp].bits(),
                row.registers[kRegisterRip].bits()};
    if (key == last_key_) return last_number_;
    Entry& entry = entries_[key.Hash()];
    if (!(entry.key == key)) {
      entry.key = key;
      entry.number = rules_.Number(MakeUnwindRule(row, false, section_));
    }
    last_key_ = key;
    last_number_ = entry.number;
    return last_number_;
  }

 private:
  // No real key is all ones.
  static constexpr RuleKey kNoKey{UINT64_MAX, UINT64_MAX, UINT64_MAX};
  struct Entry {
    RuleKey key = kNoKey;
    uint16_t number = 0;
  };

  const CfiSection& section_;
  RuleSet& rules_;
  std::vector<Entry> entries_;
  RuleKey last_key_ = kNoKey;
  uint16_t last_number_ = 0;
};

}  // namespace

RowList MakeCfiRows(const EhFrame& eh_frame,
                    const std::vector<LoadSegment>& segments, RuleSet& rules) {
  RowList rows;
  rows.Reserve(eh_frame.fdes().size() * 8);
  RuleCache cache(eh_frame.section(), rules);
  CfiInterpreter interpreter(eh_frame.section());
  uint16_t unsupported = rules.Number(kRuleUnsupported);
  const std::vector<Fde>& fdes = eh_frame.fdes();
  for (const LoadSegment& segment : segments) {
    uint64_t segment_limit = segment.address.value + segment.file_size;
    uint64_t shift = segment.offset.value - segment.address.value;
    auto fde = std::lower_bound(fdes.begin(), fdes.end(), segment.address.value,
                                [](const Fde& entry, uint64_t address) {
                                  return entry.start < address;
                                });
    for (; fde != fdes.end() && fde->start < segment_limit; ++fde) {
      uint64_t limit = std::min(fde->limit, segment_limit) + shift;
      uint64_t floor = rows.limit();
      if (limit <= floor || rows.is_full()) continue;
      const Cie& cie = eh_frame.cie(*fde);
      bool is_complete = interpreter.RunFde(
          cie, *fde, [&](uint64_t address, const CfiRow& row) {
            uint64_t offset = address + shift;
            if (offset >= limit) return;
            rows.Append(std::max(offset, floor),
                        cache.Number(row, cie.is_signal_frame));
          });
      if (!is_complete) {
        uint64_t from = interpreter.failed_at() + shift;
        if (from < limit) rows.Append(std::max(from, floor), unsupported);
      }
      rows.Close(limit);
    }
  }
  return rows;
}

}  // namespace pprofd
