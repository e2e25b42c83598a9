#include "daemon/unwind/eh_frame.h"

#include <algorithm>
#include <array>

#include "daemon/unwind/cfi_interpreter.h"

namespace pprofd {
namespace {

// DW_EH_PE_*: the low four bits are a form, the next three a base.
constexpr uint8_t kPointerOmit = 0xff;
constexpr uint8_t kPointerIndirect = 0x80;
constexpr uint8_t kPointerPcRelative = 0x10;
constexpr uint8_t kPointerTextRelative = 0x20;
constexpr uint8_t kPointerDataRelative = 0x30;
constexpr uint8_t kPointerAligned = 0x50;

constexpr uint32_t kLength64 = 0xffffffff;

// One stable pass of a radix sort by 11 bits of the start.
void RadixPass(std::vector<Fde>& from, std::vector<Fde>& to, unsigned shift) {
  std::array<uint32_t, 2048> next{};
  for (const Fde& fde : from) ++next[fde.start >> shift & 2047];
  uint32_t position = 0;
  for (uint32_t& count : next) {
    uint32_t size = count;
    count = position;
    position += size;
  }
  for (const Fde& fde : from) to[next[fde.start >> shift & 2047]++] = fde;
}

}  // namespace

std::optional<uint64_t> ReadEncodedPointer(CfiReader& reader, uint8_t encoding,
                                           const CfiSection& section) {
  if (encoding == kPointerOmit) return std::nullopt;
  if (encoding == kPointerAligned) {
    reader.Skip((0 - (section.address + reader.position())) & 7);
    uint64_t value = reader.U64();
    if (!reader.ok()) return std::nullopt;
    return value;
  }
  uint64_t here = section.address + reader.position();
  uint64_t value = 0;
  switch (encoding & 0x0f) {
    case 0x00:  // absptr
    case 0x04:  // udata8
    case 0x0c:  // sdata8
      value = reader.U64();
      break;
    case 0x01:
      value = reader.Uleb();
      break;
    case 0x02:
      value = reader.U16();
      break;
    case 0x03:
      value = reader.U32();
      break;
    case 0x09:
      value = static_cast<uint64_t>(reader.Sleb());
      break;
    case 0x0a:
      value = static_cast<uint64_t>(
          static_cast<int64_t>(static_cast<int16_t>(reader.U16())));
      break;
    case 0x0b:
      value = static_cast<uint64_t>(
          static_cast<int64_t>(static_cast<int32_t>(reader.U32())));
      break;
    default:
      reader.Fail();
  }
  if (!reader.ok() || (encoding & kPointerIndirect) != 0) return std::nullopt;
  switch (encoding & 0x70) {
    case 0:
      return value;
    case kPointerPcRelative:
      return here + value;
    case kPointerTextRelative:
      return section.text_address + value;
    case kPointerDataRelative:
      return section.data_address + value;
    default:
      return std::nullopt;
  }
}

// One record's frame: where its body is and which CIE it is or names.
struct EhFrame::Record {
  uint32_t position = 0;  // of its length
  uint32_t body = 0;      // behind the CIE field
  uint32_t limit = 0;
  bool is_cie = false;
  bool is_64_bit = false;
  uint64_t cie_position = 0;
};

bool EhFrame::ReadRecord(CfiReader& reader, Record* record) const {
  record->position = static_cast<uint32_t>(reader.position());
  uint64_t length = reader.U32();
  record->is_64_bit = length == kLength64;
  if (record->is_64_bit) length = reader.U64();
  uint64_t start = reader.position();
  if (!reader.ok() || length > reader.remaining()) return false;
  record->limit = static_cast<uint32_t>(start + length);
  if (length == 0) {
    record->body = record->limit;
    return true;
  }
  CfiReader body(section_.bytes.first(record->limit), start);
  bool is_wide = record->is_64_bit && !section_.is_eh_frame;
  uint64_t id = is_wide ? body.U64() : body.U32();
  if (section_.is_eh_frame) {
    record->is_cie = id == 0;
    record->cie_position = start - id;
  } else {
    record->is_cie = id == (is_wide ? UINT64_MAX : uint64_t{UINT32_MAX});
    record->cie_position = id;
  }
  record->body = static_cast<uint32_t>(body.position());
  reader.Skip(length);
  return true;
}

bool EhFrame::ParseAugmentation(CfiReader& reader,
                                std::span<const uint8_t> letters,
                                Cie* cie) const {
  if (letters.empty()) return true;
  if (letters[0] != 'z') return false;
  cie->has_augmentation_data = true;
  uint64_t length = reader.Uleb();
  uint64_t limit = reader.position() + length;
  if (!reader.ok() || length > reader.remaining()) return false;
  for (uint8_t letter : letters.subspan(1)) {
    switch (letter) {
      case 'R':
        cie->pointer_encoding = reader.U8();
        break;
      case 'L':
        reader.U8();
        break;
      case 'P':
        ReadEncodedPointer(reader, reader.U8(), section_);
        break;
      case 'S':
        cie->is_signal_frame = true;
        break;
      default:
        // Later letters' data cannot be found, but the length leads past it.
        reader.Skip(limit - std::min<uint64_t>(limit, reader.position()));
        return reader.ok();
    }
  }
  if (!reader.ok() || reader.position() > limit) return false;
  reader.Skip(limit - reader.position());
  return true;
}

Cie EhFrame::ParseCie(const Record& record) const {
  Cie cie;
  CfiReader reader(section_.bytes.first(record.limit), record.body);
  uint8_t version = reader.U8();
  if (version != 1 && version != 3 && version != 4) return cie;
  size_t letters_start = reader.position();
  while (reader.U8() != 0) {
  }
  if (!reader.ok()) return cie;
  std::span<const uint8_t> letters = section_.bytes.subspan(
      letters_start, reader.position() - 1 - letters_start);
  if (letters.size() == 2 && letters[0] == 'e' && letters[1] == 'h') {
    reader.U64();  // a pointer of old compilers
    letters = {};
  }
  if (version == 4) {
    cie.address_bytes = reader.U8();
    if (reader.U8() != 0) return cie;  // segment selectors
  }
  cie.code_alignment = reader.Uleb();
  cie.data_alignment = reader.Sleb();
  cie.return_register = version == 1 ? reader.U8() : reader.Uleb();
  if (!ParseAugmentation(reader, letters, &cie)) return cie;
  if (!reader.ok() || cie.return_register != kRegisterRip) return cie;
  if (cie.address_bytes != 8 && cie.address_bytes != 4) return cie;
  cie.program_start = static_cast<uint32_t>(reader.position());
  cie.program_limit = record.limit;
  cie.is_valid = CfiInterpreter(section_).RunCie(&cie);
  return cie;
}

uint32_t EhFrame::FindCie(uint32_t position) {
  if (position == last_cie_position_) return last_cie_;
  auto entry = cie_by_position_.find(position);
  if (entry == cie_by_position_.end()) {
    if (cies_.size() >= kMaxCies) return kNoCie;
    entry =
        cie_by_position_.emplace(position, static_cast<uint32_t>(cies_.size()))
            .first;
    CfiReader reader(section_.bytes, position);
    Record record;
    bool is_cie = ReadRecord(reader, &record) && record.is_cie &&
                  record.limit - record.body <= kMaxCieBytes;
    cies_.push_back(is_cie ? ParseCie(record) : Cie());
  }
  last_cie_position_ = position;
  last_cie_ = entry->second;
  return last_cie_;
}

void EhFrame::AddFde(const Record& record) {
  if (record.cie_position >= section_.bytes.size() ||
      record.limit - record.body > kMaxFdeBytes) {
    ++skipped_records_;
    return;
  }
  uint32_t index = FindCie(static_cast<uint32_t>(record.cie_position));
  if (index == kNoCie || !cies_[index].is_valid) {
    ++skipped_records_;
    return;
  }
  const Cie& cie = cies_[index];
  CfiReader reader(section_.bytes.first(record.limit), record.body);
  std::optional<uint64_t> start;
  std::optional<uint64_t> size;
  if (section_.is_eh_frame) {
    start = ReadEncodedPointer(reader, cie.pointer_encoding, section_);
    size = ReadEncodedPointer(reader, cie.pointer_encoding & 0x0f, section_);
  } else if (cie.address_bytes == 4) {
    start = reader.U32();
    size = reader.U32();
  } else {
    start = reader.U64();
    size = reader.U64();
  }
  if (cie.has_augmentation_data) reader.Skip(reader.Uleb());
  if (!reader.ok() || !start || !size || *size == 0 ||
      *start + *size <= *start || fdes_.size() >= kMaxFdes) {
    ++skipped_records_;
    return;
  }
  fdes_.push_back({.start = *start,
                   .limit = *start + *size,
                   .program_start = static_cast<uint32_t>(reader.position()),
                   .program_limit = record.limit,
                   .cie = index});
}

// Linkers write one ascending run per input section, so general sorting would
// cost a quarter of a build; addresses mostly fit 33 bits, which three passes
// sort.
void EhFrame::SortFdes() {
  auto by_start = [](const Fde& a, const Fde& b) { return a.start < b.start; };
  if (std::is_sorted(fdes_.begin(), fdes_.end(), by_start)) return;
  bool is_low = std::all_of(fdes_.begin(), fdes_.end(), [](const Fde& fde) {
    return fde.start >> 33 == 0;
  });
  if (!is_low || fdes_.size() < 2048) {
    std::stable_sort(fdes_.begin(), fdes_.end(), by_start);
    return;
  }
  std::vector<Fde> scratch(fdes_.size());
  RadixPass(fdes_, scratch, 0);
  RadixPass(scratch, fdes_, 11);
  RadixPass(fdes_, scratch, 22);
  fdes_.swap(scratch);
}

Result<EhFrame> EhFrame::Parse(const CfiSection& section) {
  if (section.bytes.size() > CfiSection::kMaxBytes) {
    return Status(StatusCode::kUnsupported,
                  "call frame information above 2 GiB");
  }
  EhFrame result(section);
  constexpr size_t kMaxReserved = 1 << 20;
  result.fdes_.reserve(std::min(section.bytes.size() / 48, kMaxReserved));
  CfiReader reader(section.bytes);
  Record record;
  while (!reader.AtEnd() && result.ReadRecord(reader, &record)) {
    bool is_empty = record.body == record.limit;
    if (is_empty && section.stops_at_zero) break;
    if (is_empty || record.is_cie) continue;
    result.AddFde(record);
  }
  result.SortFdes();
  return result;
}

const Fde* EhFrame::Find(uint64_t address) const {
  auto after = std::upper_bound(
      fdes_.begin(), fdes_.end(), address,
      [](uint64_t value, const Fde& fde) { return value < fde.start; });
  if (after == fdes_.begin()) return nullptr;
  const Fde& fde = *(after - 1);
  return address < fde.limit ? &fde : nullptr;
}

}  // namespace pprofd
