#include "symbolizer/allocator_functions.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "symbolizer/allocator_names.h"
#include "symbolizer/byte_reader.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/probe_point.h"

namespace pprofd {
namespace {

constexpr size_t kMaxSymbols = 4 << 20;      // of a file
constexpr size_t kMaxRelocations = 4 << 20;  // of a file
constexpr uint64_t kMaxNameBytes = 64;
constexpr uint64_t kMaxDynamicEntries = 4096;
// Of what is after the entry of a function whose size is not known.
constexpr uint64_t kMaxUnsizedBytes = 256;
constexpr std::string_view kPrefixes[] = {"_rjem_", "je_"};  // of jemalloc

template <typename T>
T ReadAt(std::span<const uint8_t> bytes, uint64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

std::string_view WithoutPrefix(std::string_view name) {
  for (std::string_view prefix : kPrefixes) {
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  }
  return name;
}

absl::flat_hash_set<std::string_view> NamesOfInterest() {
  absl::flat_hash_set<std::string_view> names;
  for (const AllocatorName& name : AllocatorNames()) names.insert(name.name);
  for (const AllocatorTell& tell : AllocatorTells()) names.insert(tell.name);
  return names;
}

struct Symbol {
  ModuleAddr address;
  uint64_t size = 0;
  bool is_exported = false;
  bool is_local = false;
};

struct Symbols {
  absl::flat_hash_map<std::string, Symbol> by_name;  // of interest
  bool has_functions = false;

  const Symbol* Find(std::string_view name) const {
    auto found = by_name.find(std::string(name));
    return found == by_name.end() ? nullptr : &found->second;
  }
};

bool IsDefinedFunction(const Elf64_Sym& symbol) {
  return ELF64_ST_TYPE(symbol.st_info) == STT_FUNC &&
         symbol.st_shndx != SHN_UNDEF && symbol.st_shndx != SHN_ABS &&
         symbol.st_value != 0;
}

// Of several symbols of one name, one that is not local; else the first.
void ReadSymbols(const ElfFile& file, const ElfSection& section,
                 const absl::flat_hash_set<std::string_view>& wanted,
                 size_t& budget, Symbols& symbols) {
  if (section.link >= file.sections().size()) return;
  auto table = file.ViewSection(section);
  auto strings = file.ViewSection(file.sections()[section.link]);
  if (!table.ok() || !strings.ok()) return;
  size_t count = std::min(table->size() / sizeof(Elf64_Sym), budget);
  budget -= count;
  for (size_t i = 0; i < count; ++i) {
    auto symbol = ReadAt<Elf64_Sym>(*table, i);
    if (!IsDefinedFunction(symbol)) continue;
    symbols.has_functions = true;
    std::string_view name = StringAt(*strings, symbol.st_name, kMaxNameBytes);
    if (!wanted.contains(WithoutPrefix(name))) continue;
    Symbol found{.address = {symbol.st_value},
                 .size = symbol.st_size,
                 .is_exported = section.type == SHT_DYNSYM,
                 .is_local = ELF64_ST_BIND(symbol.st_info) == STB_LOCAL};
    auto [known, is_new] =
        symbols.by_name.try_emplace(std::string(name), found);
    if (!is_new && known->second.is_local && !found.is_local) {
      known->second = found;
    }
  }
}

Symbols ReadSymbols(const ElfFile& file) {
  absl::flat_hash_set<std::string_view> wanted = NamesOfInterest();
  Symbols symbols;
  size_t budget = kMaxSymbols;
  for (uint32_t type : {SHT_DYNSYM, SHT_SYMTAB}) {
    for (const ElfSection& section : file.sections()) {
      if (section.type != type) continue;
      ReadSymbols(file, section, wanted, budget, symbols);
      break;  // a file has at most one of each
    }
  }
  return symbols;
}

// The file's bytes from `address` to the end of its segment.
std::span<const uint8_t> ViewFrom(const ElfFile& file, ModuleAddr address,
                                  uint32_t flags = 0) {
  for (const ElfSegment& segment : file.segments()) {
    if (segment.type != PT_LOAD || (segment.flags & flags) != flags) continue;
    if (address < segment.address) continue;
    uint64_t into = address.value - segment.address.value;
    if (into >= segment.file_size) continue;
    uint64_t offset = segment.offset.value + into;
    if (offset >= file.bytes().size()) return {};
    auto rest = file.bytes().subspan(offset);
    return rest.first(
        std::min<uint64_t>(rest.size(), segment.file_size - into));
  }
  return {};
}

// What PT_DYNAMIC says.
struct Dynamic {
  bool is_there = false;
  bool needs_files = false;
  bool is_program = false;  // position-independent
  ModuleAddr symbols;
  ModuleAddr strings;
  uint64_t string_bytes = 0;
  struct Table {
    ModuleAddr address;
    uint64_t bytes = 0;
  };
  Table relocations;
  Table plt_relocations;
};

void Note(const Elf64_Dyn& entry, Dynamic& dynamic) {
  const uint64_t value = entry.d_un.d_val;
  switch (entry.d_tag) {
    case DT_NEEDED:
      dynamic.needs_files = true;
      break;
    case DT_FLAGS_1:
      dynamic.is_program = (value & DF_1_PIE) != 0;
      break;
    case DT_SYMTAB:
      dynamic.symbols = {value};
      break;
    case DT_STRTAB:
      dynamic.strings = {value};
      break;
    case DT_STRSZ:
      dynamic.string_bytes = value;
      break;
    case DT_RELA:
      dynamic.relocations.address = {value};
      break;
    case DT_RELASZ:
      dynamic.relocations.bytes = value;
      break;
    case DT_JMPREL:
      dynamic.plt_relocations.address = {value};
      break;
    case DT_PLTRELSZ:
      dynamic.plt_relocations.bytes = value;
      break;
    default:
      break;
  }
}

Dynamic ReadDynamic(const ElfFile& file) {
  Dynamic dynamic;
  for (const ElfSegment& segment : file.segments()) {
    if (segment.type != PT_DYNAMIC) continue;
    dynamic.is_there = true;
    uint64_t size = file.bytes().size();
    if (segment.offset.value > size) break;
    auto bytes = file.bytes().subspan(segment.offset.value);
    uint64_t count = std::min<uint64_t>({bytes.size() / sizeof(Elf64_Dyn),
                                         segment.file_size / sizeof(Elf64_Dyn),
                                         kMaxDynamicEntries});
    for (uint64_t i = 0; i < count; ++i) {
      auto entry = ReadAt<Elf64_Dyn>(bytes, i);
      if (entry.d_tag == DT_NULL) break;
      Note(entry, dynamic);
    }
    break;
  }
  return dynamic;
}

bool IsStatic(const ElfFile& file, const Dynamic& dynamic) {
  bool has_interpreter = std::any_of(
      file.segments().begin(), file.segments().end(),
      [](const ElfSegment& segment) { return segment.type == PT_INTERP; });
  if (has_interpreter || dynamic.needs_files || file.entry().value == 0) {
    return false;
  }
  // A dynamic linker, too, is ET_DYN and has an entry and no interpreter.
  return file.type() == ET_EXEC ||
         (file.type() == ET_DYN && dynamic.is_program);
}

bool IsWritable(const ElfFile& file, ModuleAddr address) {
  return std::any_of(
      file.segments().begin(), file.segments().end(),
      [&](const ElfSegment& segment) {
        return segment.type == PT_LOAD && (segment.flags & PF_W) != 0 &&
               address >= segment.address &&
               address.value - segment.address.value < segment.memory_size;
      });
}

// A relocation that puts a function's address into a slot, and nothing else.
bool IsOfSlot(const Elf64_Rela& relocation) {
  switch (ELF64_R_TYPE(relocation.r_info)) {
    case R_X86_64_JUMP_SLOT:
    case R_X86_64_GLOB_DAT:
      return true;
    case R_X86_64_64:
      return relocation.r_addend == 0;
    default:
      return false;
  }
}

std::vector<AllocatorSlot> FindSlots(const ElfFile& file,
                                     const Dynamic& dynamic) {
  absl::flat_hash_set<std::string_view> wanted;
  for (const AllocatorName& name : AllocatorNames()) wanted.insert(name.name);
  auto symbols = ViewFrom(file, dynamic.symbols);
  auto strings = ViewFrom(file, dynamic.strings);
  if (strings.size() > dynamic.string_bytes) {
    strings = strings.first(dynamic.string_bytes);
  }
  std::vector<AllocatorSlot> slots;
  uint64_t budget = kMaxRelocations;
  for (const Dynamic::Table& table :
       {dynamic.plt_relocations, dynamic.relocations}) {
    auto bytes = ViewFrom(file, table.address);
    uint64_t count =
        std::min<uint64_t>({bytes.size() / sizeof(Elf64_Rela),
                            table.bytes / sizeof(Elf64_Rela), budget});
    budget -= count;
    for (uint64_t i = 0; i < count && slots.size() < kMaxAllocatorSlots; ++i) {
      auto relocation = ReadAt<Elf64_Rela>(bytes, i);
      uint64_t number = ELF64_R_SYM(relocation.r_info);
      if (!IsOfSlot(relocation) ||
          number >= symbols.size() / sizeof(Elf64_Sym)) {
        continue;
      }
      std::string_view name = StringAt(
          strings, ReadAt<Elf64_Sym>(symbols, number).st_name, kMaxNameBytes);
      if (!wanted.contains(name) || !IsWritable(file, {relocation.r_offset})) {
        continue;
      }
      slots.push_back({std::string(name), {relocation.r_offset}});
    }
  }
  // Some linkers count the one table as part of the other.
  std::sort(slots.begin(), slots.end(),
            [](const auto& a, const auto& b) { return a.address < b.address; });
  auto same = [](const auto& a, const auto& b) {
    return a.address == b.address;
  };
  slots.erase(std::unique(slots.begin(), slots.end(), same), slots.end());
  return slots;
}

// An allocator in the file.
struct Provider {
  AllocatorSet set = kNoAllocator;
  std::string_view prefix;
  bool has_locals = false;  // among its functions, in .symtab
};

bool Provides(const Symbols& symbols, std::string_view prefix,
              bool is_exported) {
  for (std::string_view name : {"malloc", "free"}) {
    const Symbol* symbol = symbols.Find(std::string(prefix).append(name));
    if (symbol == nullptr || (is_exported && !symbol->is_exported))
      return false;
  }
  return true;
}

AllocatorSet TellSet(const Symbols& symbols) {
  const Symbol* malloc = symbols.Find("malloc");
  for (const AllocatorTell& tell : AllocatorTells()) {
    const Symbol* found = symbols.Find(tell.name);
    if (found == nullptr) continue;
    if (!tell.is_malloc || found->address == malloc->address) return tell.set;
  }
  return kUnknownAllocator;
}

// Those with a prefix first.
std::vector<Provider> FindProviders(const Symbols& symbols, bool is_static) {
  std::vector<Provider> providers;
  const Symbol* told_sample = symbols.Find(kToldSampleName);
  const Symbol* told_free = symbols.Find(kToldFreeName);
  if (told_sample != nullptr && told_sample->is_exported &&
      told_free != nullptr && told_free->is_exported) {
    return {{kPreload, "", false}};
  }
  for (std::string_view prefix : kPrefixes) {
    if (Provides(symbols, prefix, false)) {
      providers.push_back({kJemalloc, prefix, true});
    }
  }
  bool has_plain = Provides(symbols, "", !is_static);
  AllocatorSet plain = has_plain ? TellSet(symbols) : kNoAllocator;
  if (plain != kMimalloc && Provides(symbols, "mi_", false)) {
    providers.push_back({kMimallocOwn, "", true});
  }
  // The linker makes all of a static-pie local.
  if (has_plain) providers.push_back({plain, "", is_static});
  return providers;
}

class FunctionFinder {
 public:
  FunctionFinder(const ElfFile& file, const Symbols& symbols)
      : file_(file), symbols_(symbols) {}

  void Add(const Provider& provider) {
    for (const AllocatorName& row : AllocatorNames()) {
      if ((row.sets & provider.set) == 0) continue;
      std::string name = std::string(provider.prefix).append(row.name);
      const Symbol* symbol = symbols_.Find(name);
      if (symbol == nullptr) continue;
      if (symbol->is_local && !provider.has_locals) continue;
      Add(std::move(name), row.kind, *symbol);
    }
  }
  std::vector<AllocatorFunction> Take() { return std::move(functions_); }

 private:
  void Add(std::string name, uint32_t kind, const Symbol& symbol) {
    auto code = ViewFrom(file_, symbol.address, PF_X);
    uint64_t size = symbol.size > 0 ? symbol.size : kMaxUnsizedBytes;
    code = code.first(std::min<uint64_t>(code.size(), size));
    if (code.empty() || functions_.size() >= kMaxAllocatorFunctions) return;
    auto entry = static_cast<uint64_t>(code.data() - file_.bytes().data());
    if (Has({entry}, 0)) return;
    // A name's function may be nothing but a jump to another's.
    auto jump = FindJumpAtEntry(code);
    if (jump && Has({entry + static_cast<uint64_t>(*jump)}, kind)) return;
    ProbePoint point = FindProbePoint(code, HeapArgumentCount(kind));
    functions_.push_back({.name = std::move(name),
                          .kind = kind,
                          .entry = {entry},
                          .probe = {entry + point.offset},
                          .is_emulated = point.is_emulated,
                          .registers = point.registers});
  }

  bool Has(FileOffset entry, uint32_t kind) const {
    return std::any_of(functions_.begin(), functions_.end(),
                       [&](const AllocatorFunction& function) {
                         return function.entry == entry &&
                                (kind == 0 || function.kind == kind);
                       });
  }

  const ElfFile& file_;
  const Symbols& symbols_;
  std::vector<AllocatorFunction> functions_;
};

}  // namespace

Result<AllocatorReport> FindAllocatorFunctions(std::span<const uint8_t> bytes) {
  ASSIGN_OR_RETURN(ElfFile file, ElfFile::Parse(bytes));
  if (file.machine() != EM_X86_64) {
    return Status(StatusCode::kUnsupported, "not for x86-64");
  }
  Dynamic dynamic = ReadDynamic(file);
  Symbols symbols = ReadSymbols(file);
  AllocatorReport report;
  report.is_static = IsStatic(file, dynamic);
  report.has_symbols = symbols.has_functions;
  if (dynamic.is_there) report.slots = FindSlots(file, dynamic);
  FunctionFinder finder(file, symbols);
  for (const Provider& provider : FindProviders(symbols, report.is_static)) {
    if (report.family.empty()) report.family = FamilyOf(provider.set);
    finder.Add(provider);
  }
  report.functions = finder.Take();
  if (report.functions.empty()) report.family.clear();
  return report;
}

}  // namespace pprofd
