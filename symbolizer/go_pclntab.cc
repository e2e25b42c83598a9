#include "symbolizer/go_pclntab.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "symbolizer/byte_reader.h"

namespace pprofd {
namespace {

constexpr uint32_t kMagic16 = 0xfffffffa;
constexpr uint32_t kMagic18 = 0xfffffff0;
constexpr uint32_t kMagic20 = 0xfffffff1;
constexpr size_t kMaxNameBytes = 4096;

const ElfSection* FindTable(const ElfFile& file) {
  for (const char* name : {".gopclntab", ".data.rel.ro.gopclntab"}) {
    if (const ElfSection* section = file.FindSection(name)) return section;
  }
  return nullptr;
}

// The 8 bytes at a module address: as in the file, or what a relocation puts
// there in position-independent files. 0 if that cannot be known.
uint64_t PointerAt(const ElfFile& file, uint64_t address) {
  if (auto offset = file.ToFileOffset({address})) {
    uint64_t value = ByteReader(file.bytes(), offset->value).U64();
    if (value != 0) return value;
  }
  const ElfSection* section = file.FindSection(".rela.dyn");
  if (section == nullptr) return 0;
  std::vector<uint8_t> storage;
  auto bytes = file.ReadSection(*section, storage);
  for (uint64_t i = 0; bytes.ok() && i + sizeof(Elf64_Rela) <= bytes->size();
       i += sizeof(Elf64_Rela)) {
    Elf64_Rela relocation;
    std::memcpy(&relocation, bytes->data() + i, sizeof(relocation));
    if (relocation.r_offset == address) {
      return static_cast<uint64_t>(relocation.r_addend);
    }
  }
  return 0;
}

// The start of Go's code: as the header says, since Go 1.26 as the runtime's
// description of the module says, or else the start of .text.
uint64_t FindTextStart(const ElfFile& file, uint64_t header_field) {
  constexpr uint64_t kModuleTextOffset = 176;
  if (uint64_t start = PointerAt(file, header_field)) return start;
  if (const ElfSection* section = file.FindSection(".go.module")) {
    uint64_t field = section->address.value + kModuleTextOffset;
    if (uint64_t start = PointerAt(file, field)) return start;
  }
  const ElfSection* text = file.FindSection(".text");
  return text != nullptr ? text->address.value : 0;
}

std::string_view TextAt(std::span<const uint8_t> bytes) {
  const char* start = reinterpret_cast<const char*>(bytes.data());
  return {start, strnlen(start, std::min(bytes.size(), kMaxNameBytes))};
}

}  // namespace

std::optional<GoPclntab> GoPclntab::Open(const ElfFile& file) {
  const ElfSection* section = FindTable(file);
  if (section == nullptr) return std::nullopt;
  std::vector<uint8_t> unused;  // the runtime reads it: never compressed
  auto bytes = file.ReadSection(*section, unused);
  if (!bytes.ok() || !unused.empty()) return std::nullopt;
  GoPclntab table;
  table.table_ = *bytes;
  ByteReader reader(*bytes);
  uint32_t magic = reader.U32();
  if (magic != kMagic16 && magic != kMagic18 && magic != kMagic20) {
    return std::nullopt;
  }
  table.has_offsets_ = magic != kMagic16;
  table.has_start_line_ = magic == kMagic20;
  reader.U16();
  table.quantum_ = reader.U8();
  if (reader.U8() != sizeof(uint64_t)) return std::nullopt;
  table.function_count_ = reader.U64();
  reader.U64();  // number of files
  if (table.has_offsets_) {
    uint64_t field = section->address.value + reader.offset();
    table.text_start_ = FindTextStart(file, field);
    reader.U64();
  }
  table.names_ = reader.U64();
  table.units_ = reader.U64();
  table.files_ = reader.U64();
  table.programs_ = reader.U64();
  table.functions_ = reader.U64();
  uint64_t entry_size = table.has_offsets_ ? 8 : 16;
  if (!reader.ok() || table.function_count_ == 0 ||
      table.function_count_ >=
          table.From(table.functions_).size() / entry_size) {
    return std::nullopt;
  }
  return table;
}

// The table has one more entry, the end of the last function.
uint64_t GoPclntab::EntryOf(uint64_t number) const {
  ByteReader reader(From(functions_), number * (has_offsets_ ? 8 : 16));
  return has_offsets_ ? text_start_ + reader.U32() : reader.U64();
}

std::optional<GoPclntab::Function> GoPclntab::ReadFunction(
    uint64_t number) const {
  ByteReader place(From(functions_),
                   number * (has_offsets_ ? 8 : 16) + (has_offsets_ ? 4 : 8));
  uint64_t offset = has_offsets_ ? place.U32() : place.U64();
  ByteReader reader(From(functions_), offset);
  Function function{.entry = EntryOf(number)};
  reader.Skip(has_offsets_ ? 4 : 8);
  function.name = reader.U32();
  reader.Skip(12);  // arguments, deferreturn, stack depths
  function.pc_file = reader.U32();
  function.pc_line = reader.U32();
  reader.U32();  // number of other tables
  function.unit = reader.U32();
  if (has_start_line_) function.start_line = reader.U32();
  if (!place.ok() || !reader.ok()) return std::nullopt;
  return function;
}

// Runs a table of (value, length) differences up to `address`; -1 for nothing.
int64_t GoPclntab::ValueAt(uint32_t program, uint64_t entry,
                           uint64_t address) const {
  if (program == 0) return -1;
  ByteReader reader(From(programs_), program);
  int64_t value = -1;
  uint64_t position = entry;
  for (bool is_first = true; reader.ok(); is_first = false) {
    uint64_t difference = reader.Uleb();
    if (difference == 0 && !is_first) break;
    value += (difference & 1) != 0 ? ~static_cast<int64_t>(difference >> 1)
                                   : static_cast<int64_t>(difference >> 1);
    uint64_t length = reader.Uleb() * quantum_;
    if (length > address - position) return reader.ok() ? value : -1;
    position += length;
  }
  return -1;
}

std::string_view GoPclntab::FileName(const Function& function,
                                     int64_t number) const {
  if (number < 0) return {};
  ByteReader reader(From(units_),
                    (function.unit + static_cast<uint64_t>(number)) * 4);
  uint32_t offset = reader.U32();
  if (!reader.ok() || offset == UINT32_MAX) return {};
  return TextAt(From(files_ + offset));
}

std::optional<GoLine> GoPclntab::Find(ModuleAddr address) const {
  if (address.value < EntryOf(0) || address.value >= EntryOf(function_count_)) {
    return std::nullopt;
  }
  uint64_t low = 0;  // EntryOf(low) <= address < EntryOf(high)
  uint64_t high = function_count_;
  while (high - low > 1) {
    uint64_t middle = low + (high - low) / 2;
    (EntryOf(middle) <= address.value ? low : high) = middle;
  }
  auto function = ReadFunction(low);
  if (!function || function->entry > address.value) return std::nullopt;
  GoLine line;
  line.function = TextAt(From(names_ + function->name));
  int64_t own_file =
      ValueAt(function->pc_file, function->entry, function->entry);
  line.file = FileName(*function, own_file);
  line.start_line = function->start_line;
  if (ValueAt(function->pc_file, function->entry, address.value) == own_file) {
    int64_t number = ValueAt(function->pc_line, function->entry, address.value);
    line.line =
        static_cast<uint32_t>(std::clamp<int64_t>(number, 0, INT32_MAX));
  }
  if (line.function.empty()) return std::nullopt;
  return line;
}

}  // namespace pprofd
