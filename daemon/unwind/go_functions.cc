#include "daemon/unwind/go_functions.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "daemon/unwind/cfi_reader.h"

namespace pprofd {
namespace {

constexpr uint32_t kMagic116 = 0xfffffffa;
constexpr uint32_t kMagic118 = 0xfffffff0;
constexpr uint32_t kMagic120 = 0xfffffff1;

constexpr size_t kHeaderBytes = 72;
constexpr uint8_t kFlagTopFrame = 1;
constexpr uint8_t kFlagWritesSp = 2;

// Fields of the runtime's moduledata: minpc, maxpc, text.
constexpr uint64_t kModuleDataMinPc = 160;
constexpr uint64_t kModuleDataText = 176;
constexpr uint64_t kMaxModuleDataSearchBytes = 64u << 20;

uint64_t WordAt(std::span<const uint8_t> bytes, uint64_t position) {
  return CfiReader(bytes, position).U64();
}

bool IsHeader(std::span<const uint8_t> bytes) {
  if (bytes.size() < kHeaderBytes) return false;
  CfiReader reader(bytes);
  uint32_t magic = reader.U32();
  bool is_known =
      magic == kMagic116 || magic == kMagic118 || magic == kMagic120;
  return is_known && reader.U16() == 0 && reader.U8() == 1 && reader.U8() == 8;
}

// The table's bytes; linkers may merge it into a larger section.
std::optional<CfiReader> ReaderAtHeader(std::span<const uint8_t> bytes) {
  for (size_t at = 0; at + kHeaderBytes <= bytes.size(); at += 16) {
    if (IsHeader(bytes.subspan(at))) return CfiReader(bytes, at);
  }
  return std::nullopt;
}

UnwindRule FrameRule(int16_t words_below, bool saves_frame_pointer) {
  UnwindRule rule = PlainRule(PPROFD_CFA_RSP);
  rule.cfa_off8 = static_cast<int16_t>(words_below + 1);
  if (saves_frame_pointer && words_below > 0) {
    rule.rbp_kind = PPROFD_RBP_AT_CFA;
    rule.rbp_off8 = -2;
  }
  return rule;
}

}  // namespace

std::optional<GoFunctions::Layout> GoFunctions::LayoutOf(uint32_t magic) {
  switch (magic) {
    case kMagic116:
      return Layout{2, 5, 6, 8, 20, 41};
    case kMagic118:
      return Layout{3, 6, 7, 4, 16, 37};
    case kMagic120:
      return Layout{3, 6, 7, 4, 16, 41};
    default:
      return std::nullopt;
  }
}

std::optional<GoFunctions> GoFunctions::Find(const ElfFile& file) {
  bool is_go = file.FindSection(".go.buildinfo") != nullptr ||
               file.FindSection(".note.go.buildid") != nullptr ||
               file.FindSection(".gopclntab") != nullptr;
  if (!is_go) return std::nullopt;
  for (const char* name :
       {".gopclntab", ".data.rel.ro.gopclntab", ".data.rel.ro"}) {
    const ElfSection* section = file.FindSection(name);
    if (section == nullptr || (section->flags & SHF_COMPRESSED) != 0) continue;
    std::vector<uint8_t> storage;
    auto bytes = file.ReadSection(*section, storage);
    if (!bytes.ok()) continue;
    auto reader = ReaderAtHeader(*bytes);
    if (!reader) continue;
    GoFunctions functions(file);
    size_t at = reader->position();
    if (functions.ParseHeader(bytes->subspan(at),
                              section->address.value + at)) {
      return functions;
    }
  }
  return std::nullopt;
}

bool GoFunctions::ParseHeader(std::span<const uint8_t> table,
                              uint64_t address) {
  std::optional<Layout> layout = LayoutOf(CfiReader(table).U32());
  if (!layout) return false;
  layout_ = *layout;
  auto word = [&](uint32_t index) { return WordAt(table, 8 + index * 8); };
  auto part = [&](uint32_t index) {
    uint64_t offset = word(index);
    return offset < table.size() ? table.subspan(offset)
                                 : std::span<const uint8_t>();
  };
  count_ = word(0);
  names_ = part(layout_.name_word);
  pcsp_ = part(layout_.pcsp_word);
  functions_ = part(layout_.functions_word);
  if (count_ == 0 || count_ > kMaxGoFunctions ||
      (count_ * 2 + 1) * layout_.entry_bytes > functions_.size()) {
    return false;
  }
  return layout_.entry_bytes == 8 || FindTextStart(address, word(2));
}

// Older headers say where the text starts, unless that is left to a
// relocation; the runtime's moduledata always does.
bool GoFunctions::FindTextStart(uint64_t table_address, uint64_t header_value) {
  if (header_value != 0 && IsTextStart(header_value)) {
    text_start_ = header_value;
    return true;
  }
  std::optional<uint64_t> found = TextStartFromModuleData(table_address);
  if (!found) return false;
  text_start_ = *found;
  return true;
}

bool GoFunctions::IsTextStart(uint64_t address) const {
  uint64_t last = address + EntryAt(count_);
  for (const ElfSegment& segment : file_->segments()) {
    if (segment.type == PT_LOAD && (segment.flags & PF_X) != 0 &&
        address >= segment.address.value && last >= address &&
        last - segment.address.value <= segment.file_size) {
      return true;
    }
  }
  return false;
}

std::optional<uint64_t> GoFunctions::TextStartFromModuleData(
    uint64_t table_address) const {
  uint64_t first = EntryAt(0);
  uint64_t last = EntryAt(count_);
  uint64_t budget = kMaxModuleDataSearchBytes;
  for (const ElfSegment& segment : file_->segments()) {
    if (segment.type != PT_LOAD || (segment.flags & PF_W) == 0) continue;
    if (segment.offset.value > file_->bytes().size()) continue;
    std::span<const uint8_t> data =
        file_->bytes().subspan(segment.offset.value);
    data = data.first(
        std::min<uint64_t>({data.size(), segment.file_size, budget}));
    budget -= data.size();
    for (size_t at = 0; at + kModuleDataText + 8 <= data.size(); at += 8) {
      if (WordAt(data, at) != table_address) continue;
      uint64_t text = WordAt(data, at + kModuleDataText);
      if (WordAt(data, at + kModuleDataMinPc) == text + first &&
          WordAt(data, at + kModuleDataMinPc + 8) == text + last &&
          IsTextStart(text)) {
        return text;
      }
    }
  }
  return std::nullopt;
}

uint64_t GoFunctions::EntryAt(uint64_t index) const {
  CfiReader reader(functions_, index * 2 * layout_.entry_bytes);
  return layout_.entry_bytes == 8 ? reader.U64() : reader.U32();
}

std::optional<GoFunctions::Function> GoFunctions::FunctionAt(
    uint64_t index) const {
  CfiReader entry(functions_, (index * 2 + 1) * layout_.entry_bytes);
  uint64_t record = layout_.entry_bytes == 8 ? entry.U64() : entry.U32();
  if (record >= functions_.size()) return std::nullopt;
  std::span<const uint8_t> fields = functions_.subspan(record);
  Function function;
  function.start = EntryAt(index) + text_start_;
  function.limit = EntryAt(index + 1) + text_start_;
  function.pcsp = CfiReader(fields, layout_.pcsp_field).U32();
  uint8_t flags = CfiReader(fields, layout_.flags_field).U8();
  function.is_outermost = (flags & kFlagTopFrame) != 0;
  function.switches_stack = (flags & kFlagWritesSp) != 0;
  if (function.limit <= function.start || function.pcsp >= pcsp_.size()) {
    return std::nullopt;
  }
  return function;
}

// Whether the code at the address where rsp first moved is the standard start:
// push %rbp, or (before Go 1.21) sub $n, %rsp; mov %rbp, n-8(%rsp).
bool GoFunctions::SavesFramePointer(uint64_t moved_at) const {
  std::optional<FileOffset> offset = file_->ToFileOffset({moved_at});
  std::span<const uint8_t> bytes = file_->bytes();
  if (!offset || offset->value == 0 || offset->value + 4 > bytes.size()) {
    return false;
  }
  if (bytes[offset->value - 1] == 0x55) return true;
  const uint8_t* next = bytes.data() + offset->value;
  return next[0] == 0x48 && next[1] == 0x89 &&
         (next[2] == 0x6c || next[2] == 0xac) && next[3] == 0x24;
}

// A pcsp program is pairs of a signed step of the depth and the bytes of code
// it holds for; a step of zero ends it, except at the start.
void GoFunctions::AppendRows(const Function& function, uint64_t shift,
                             RuleSet& rules, uint64_t* steps,
                             RowList* rows) const {
  uint16_t outermost = rules.Number(kRuleEnd);
  if (function.is_outermost) {
    rows->Append(function.start + shift, outermost);
    return;
  }
  // Frame pointers lead across to the other stack.
  if (function.switches_stack || function.pcsp == 0) return;
  CfiReader reader(pcsp_, function.pcsp);
  uint64_t pc = function.start;
  int32_t depth = -1;
  bool saves_frame_pointer = false;
  bool has_moved = false;
  for (bool is_first = true; pc < function.limit && *steps > 0;
       is_first = false) {
    --*steps;
    uint32_t step = static_cast<uint32_t>(reader.Uleb());
    if (!reader.ok() || (step == 0 && !is_first)) break;
    uint32_t change = (0 - (step & 1)) ^ (step >> 1);
    depth = static_cast<int32_t>(static_cast<uint32_t>(depth) + change);
    if (depth > 0 && !has_moved) {
      has_moved = true;
      saves_frame_pointer = SavesFramePointer(pc);
    }
    bool is_sane = depth >= 0 && depth % 8 == 0 && depth / 8 < 0x7fff;
    rows->Append(pc + shift, is_sane ? rules.Number(FrameRule(
                                           static_cast<int16_t>(depth / 8),
                                           saves_frame_pointer))
                                     : rules.Number(kRuleUnsupported));
    uint64_t held = static_cast<uint32_t>(reader.Uleb());
    if (held == 0) break;
    pc += held;
  }
}

RowList GoFunctions::MakeRows(const std::vector<LoadSegment>& segments,
                              RuleSet& rules) const {
  RowList rows;
  uint64_t steps = kMaxGoSteps;
  for (uint64_t i = 0; i < count_ && !rows.is_full() && steps > 0; ++i) {
    std::optional<Function> function = FunctionAt(i);
    if (!function) continue;
    for (const LoadSegment& segment : segments) {
      uint64_t into = function->start - segment.address.value;
      if (function->start < segment.address.value ||
          into >= segment.file_size) {
        continue;
      }
      function->limit =
          std::min(function->limit, segment.address.value + segment.file_size);
      uint64_t shift = segment.offset.value - segment.address.value;
      if (function->start + shift < rows.limit()) break;
      AppendRows(*function, shift, rules, &steps, &rows);
      rows.Close(function->limit + shift);
      break;
    }
  }
  return rows;
}

}  // namespace pprofd
