#include "symbolizer/go_pclntab.h"

#include <algorithm>
#include <cstring>

#include "symbolizer/byte_reader.h"
#include "symbolizer/go_module_data.h"

namespace pprofd {
namespace {

constexpr uint32_t kMagic16 = 0xfffffffa;
constexpr uint32_t kMagic18 = 0xfffffff0;
constexpr uint32_t kMagic20 = 0xfffffff1;
constexpr size_t kMaxTextBytes = 4096;
// Among a function's other tables, and among its data.
constexpr uint32_t kCallProgram = 2;
constexpr uint8_t kCallTree = 3;

const ElfSection* FindTable(const ElfFile& file) {
  for (const char* name : {".gopclntab", ".data.rel.ro.gopclntab"}) {
    if (const ElfSection* section = file.FindSection(name)) return section;
  }
  return nullptr;
}

std::string_view TextAt(std::span<const uint8_t> bytes) {
  const char* start = reinterpret_cast<const char*>(bytes.data());
  return {start, strnlen(start, std::min(bytes.size(), kMaxTextBytes))};
}

uint32_t ToLine(int64_t number) {
  return static_cast<uint32_t>(std::clamp<int64_t>(number, 0, INT32_MAX));
}

}  // namespace

std::optional<GoPclntab> GoPclntab::Open(const ElfFile& file) {
  const ElfSection* section = FindTable(file);
  if (section == nullptr) return std::nullopt;
  auto bytes = file.ViewSection(*section);
  if (!bytes.ok()) return std::nullopt;
  GoPclntab table;
  table.table_ = *bytes;
  table.address_ = section->address.value;
  ByteReader reader(*bytes);
  uint32_t magic = reader.U32();
  if (magic != kMagic16 && magic != kMagic18 && magic != kMagic20) {
    return std::nullopt;
  }
  table.layout_ = magic == kMagic16   ? Layout::kGo16
                  : magic == kMagic18 ? Layout::kGo18
                                      : Layout::kGo20;
  reader.U16();
  table.quantum_ = reader.U8();
  if (reader.U8() != sizeof(uint64_t)) return std::nullopt;
  table.function_count_ = reader.U64();
  reader.U64();  // number of files
  uint64_t text_field = table.address_ + reader.offset();
  if (table.has_offsets()) reader.U64();
  table.names_ = reader.U64();
  table.units_ = reader.U64();
  table.files_ = reader.U64();
  table.programs_ = reader.U64();
  table.functions_ = reader.U64();
  uint64_t entry_size = table.has_offsets() ? 8 : 16;
  if (!reader.ok() || table.function_count_ == 0 ||
      table.function_count_ >=
          table.From(table.functions_).size() / entry_size) {
    return std::nullopt;
  }
  if (table.has_offsets()) {
    GoModuleData data =
        FindGoModuleData(file, {.address = table.address_,
                                .names = table.names_,
                                .units = table.units_,
                                .text_field = text_field,
                                .is_go_1_20 = table.layout_ == Layout::kGo20});
    table.text_start_ = data.text_start;
    table.FindFuncdata(file, data.funcdata);
  } else if (const ElfSection* data = file.FindSection(".rodata")) {
    table.FindFuncdata(file, data->address.value);
  }
  return table;
}

// All data from `address` to the end of its section.
void GoPclntab::FindFuncdata(const ElfFile& file, uint64_t address) {
  if (address == 0) return;
  for (const ElfSection& section : file.sections()) {
    uint64_t start = section.address.value;
    if (start == 0 || address < start || address - start >= section.size) {
      continue;
    }
    auto bytes = file.ViewSection(section);
    if (!bytes.ok() || address - start > bytes->size()) continue;
    funcdata_ = bytes->subspan(address - start);
    funcdata_address_ = address;
    return;
  }
}

// The table has one more entry, the end of the last function.
uint64_t GoPclntab::EntryOf(uint64_t number) const {
  ByteReader reader(From(functions_), number * (has_offsets() ? 8 : 16));
  return has_offsets() ? text_start_ + reader.U32() : reader.U64();
}

std::optional<GoPclntab::Function> GoPclntab::ReadFunction(
    uint64_t number) const {
  ByteReader place(From(functions_),
                   number * (has_offsets() ? 8 : 16) + (has_offsets() ? 4 : 8));
  uint64_t offset = has_offsets() ? place.U32() : place.U64();
  ByteReader reader(From(functions_), offset);
  Function function{.entry = EntryOf(number), .calls = {}};
  reader.Skip(has_offsets() ? 4 : 8);
  function.name = reader.U32();
  reader.Skip(12);  // arguments, deferreturn, stack depths
  function.pc_file = reader.U32();
  function.pc_line = reader.U32();
  uint32_t program_count = reader.U32();
  function.unit = reader.U32();
  if (layout_ == Layout::kGo20) function.start_line = reader.U32();
  reader.Skip(3);
  uint8_t data_count = reader.U8();
  if (!place.ok() || !reader.ok()) return std::nullopt;
  uint64_t programs = functions_ + reader.offset();
  if (program_count > kCallProgram && data_count > kCallTree) {
    function.pc_call =
        ByteReader(From(programs), kCallProgram * sizeof(uint32_t)).U32();
    function.calls =
        CallsAt(programs + uint64_t{program_count} * sizeof(uint32_t));
  }
  return function;
}

// The tree that is among the data that are listed at `pointers`.
std::optional<std::span<const uint8_t>> GoPclntab::CallsAt(
    uint64_t pointers) const {
  uint64_t offset = 0;
  if (has_offsets()) {
    ByteReader reader(From(pointers), kCallTree * sizeof(uint32_t));
    offset = reader.U32();
    if (!reader.ok()) return std::nullopt;
  } else {
    pointers += (address_ + pointers) % sizeof(uint64_t) == 0 ? 0 : 4;
    uint64_t address =
        ByteReader(From(pointers), kCallTree * sizeof(uint64_t)).U64();
    if (address < funcdata_address_) return std::nullopt;
    offset = address - funcdata_address_;
  }
  if (offset >= funcdata_.size()) return std::nullopt;
  return funcdata_.subspan(offset);
}

// The layouts of the runtime's inlinedCall before and since Go 1.20.
std::optional<GoPclntab::InlinedCall> GoPclntab::ReadCall(
    const Function& function, int64_t number) const {
  if (!function.calls) return std::nullopt;
  bool is_new = layout_ == Layout::kGo20;
  ByteReader reader(*function.calls,
                    static_cast<uint64_t>(number) * (is_new ? 16 : 20));
  InlinedCall call;
  reader.Skip(is_new ? 4 : 12);  // kind; file and line, which are found anyway
  uint32_t name = reader.U32();
  call.parent = reader.U32();
  if (is_new) call.start_line = ToLine(static_cast<int32_t>(reader.U32()));
  if (!reader.ok() || call.parent > INT32_MAX) return std::nullopt;
  // Only what is the start of a name can be one.
  auto names = From(names_);
  if (name >= names.size() || (name > 0 && names[name - 1] != 0)) {
    return std::nullopt;
  }
  call.name = TextAt(names.subspan(name));
  if (call.name.empty()) return std::nullopt;
  return call;
}

// Runs a table of (value, length) differences up to `address`; -1 for nothing.
int64_t GoPclntab::ValueAt(uint32_t program, uint64_t entry, uint64_t address,
                           Steps& steps) const {
  if (program == 0) return -1;
  ByteReader reader(From(programs_), program);
  int64_t value = -1;
  uint64_t position = entry;
  for (bool is_first = true; reader.ok() && steps > 0; is_first = false) {
    --steps;
    uint64_t difference = reader.Uleb();
    if (difference == 0 && !is_first) break;
    // 32 bits, as the runtime reads them: nothing can overflow.
    auto half = static_cast<int64_t>(static_cast<uint32_t>(difference) >> 1);
    value += (difference & 1) != 0 ? ~half : half;
    value = static_cast<int32_t>(value);
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

// File and line of an instruction, of whichever call they are.
void GoPclntab::Locate(const Function& function, uint64_t address, Steps& steps,
                       GoLine& line) const {
  line.file = FileName(
      function, ValueAt(function.pc_file, function.entry, address, steps));
  line.line = ToLine(ValueAt(function.pc_line, function.entry, address, steps));
}

// Leaves in `address` the instruction of the outermost call. False, and
// nothing is added, when the calls cannot be told.
bool GoPclntab::AddInlinedCalls(const Function& function, uint64_t& address,
                                Steps& steps,
                                std::vector<GoLine>& lines) const {
  uint64_t at = address;
  while (lines.size() <= kMaxDepth) {
    int64_t number = ValueAt(function.pc_call, function.entry, at, steps);
    if (number < 0 && steps > 0) {
      address = at;
      return true;
    }
    auto call = number < 0 ? std::nullopt : ReadCall(function, number);
    if (!call) break;
    GoLine line;
    line.function = call->name;
    line.start_line = call->start_line;
    Locate(function, at, steps, line);
    lines.push_back(line);
    at = function.entry + call->parent;
  }
  lines.clear();
  return false;
}

// The table says where functions start; their lines end where they do.
bool GoPclntab::IsPadding(const Function& function, uint64_t address,
                          Steps& steps) const {
  return function.pc_line != 0 &&
         ValueAt(function.pc_line, function.entry, address, steps) < 0 &&
         steps > 0;
}

std::vector<GoLine> GoPclntab::Find(ModuleAddr address) const {
  std::vector<GoLine> lines;
  if (address.value < EntryOf(0) || address.value >= EntryOf(function_count_)) {
    return lines;
  }
  uint64_t low = 0;  // EntryOf(low) <= address < EntryOf(high)
  uint64_t high = function_count_;
  while (high - low > 1) {
    uint64_t middle = low + (high - low) / 2;
    (EntryOf(middle) <= address.value ? low : high) = middle;
  }
  auto function = ReadFunction(low);
  if (!function || function->entry > address.value) return lines;
  Steps steps = kMaxSteps;
  if (IsPadding(*function, address.value, steps)) return lines;
  GoLine own;
  own.function = TextAt(From(names_ + function->name));
  own.start_line = function->start_line;
  if (own.function.empty()) return lines;
  uint64_t at = address.value;
  if (AddInlinedCalls(*function, at, steps, lines)) {
    Locate(*function, at, steps, own);
  } else {
    GoLine found;
    Locate(*function, at, steps, found);
    own.file = FileName(*function, ValueAt(function->pc_file, function->entry,
                                           function->entry, steps));
    if (found.file == own.file) own.line = found.line;
  }
  lines.push_back(own);
  return lines;
}

}  // namespace pprofd
