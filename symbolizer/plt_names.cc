#include "symbolizer/plt_names.h"

#include <elf.h>

#include <cstring>

#include "symbolizer/byte_reader.h"
#include "symbolizer/symbol_table.h"

namespace pprofd {
namespace {

constexpr uint64_t kStubBytes = 16;
constexpr uint64_t kShortStubBytes = 8;  // in .plt.got
constexpr size_t kMaxSymbolBytes = 4096;
constexpr uint64_t kMaxRelocationBytes = 64 << 20;  // read for one name

const ElfSection* FindPltSection(const ElfFile& file, ModuleAddr address) {
  for (const ElfSection& section : file.sections()) {
    if (section.type == SHT_PROGBITS && section.name.starts_with(".plt") &&
        address >= section.address &&
        address.value - section.address.value < section.size) {
      return &section;
    }
  }
  return nullptr;
}

// The address of the slot that the stub at `address` jumps through.
std::optional<uint64_t> FindSlot(const ElfFile& file, const ElfSection& plt,
                                 ModuleAddr address) {
  auto bytes = file.ViewSection(plt);
  if (!bytes.ok()) return std::nullopt;
  uint64_t size = plt.entry_size == kShortStubBytes || plt.name == ".plt.got"
                      ? kShortStubBytes
                      : kStubBytes;
  // With -fcf-protection, .plt.got has stubs of 16 bytes: endbr64 first.
  if (bytes->size() >= 2 && (*bytes)[0] == 0xf3 && (*bytes)[1] == 0x0f) {
    size = kStubBytes;
  }
  uint64_t start = (address.value - plt.address.value) / size * size;
  for (uint64_t i = start; i + 6 <= bytes->size() && i < start + size; ++i) {
    bool is_indirect_jump = (*bytes)[i] == 0xff && (*bytes)[i + 1] == 0x25;
    if (!is_indirect_jump) continue;
    int32_t displacement;
    std::memcpy(&displacement, bytes->data() + i + 2, sizeof(displacement));
    return plt.address.value + i + 6 + static_cast<int64_t>(displacement);
  }
  return std::nullopt;
}

std::string SymbolName(const ElfFile& file, const ElfSection& relocations,
                       uint64_t number) {
  if (relocations.link >= file.sections().size()) return "";
  const ElfSection& symbols = file.sections()[relocations.link];
  if (symbols.link >= file.sections().size()) return "";
  const ElfSection& strings = file.sections()[symbols.link];
  auto bytes = file.ViewSection(symbols);
  if (!bytes.ok() || number >= bytes->size() / sizeof(Elf64_Sym)) return "";
  Elf64_Sym symbol;
  std::memcpy(&symbol, bytes->data() + number * sizeof(symbol), sizeof(symbol));
  if (symbol.st_name >= strings.size) return "";
  return std::string(
      NameAt(file, {strings.offset.value + symbol.st_name}, kMaxSymbolBytes));
}

}  // namespace

std::optional<std::string> PltName(const ElfFile& file, ModuleAddr address) {
  if (file.machine() != EM_X86_64) return std::nullopt;
  const ElfSection* plt = FindPltSection(file, address);
  if (plt == nullptr) return std::nullopt;
  auto slot = FindSlot(file, *plt, address);
  if (!slot) return std::nullopt;
  uint64_t budget = kMaxRelocationBytes;
  for (const ElfSection& section : file.sections()) {
    if (section.type != SHT_RELA) continue;
    auto bytes = file.ViewSection(section);
    if (!bytes.ok()) continue;
    if (bytes->size() > budget) return std::nullopt;
    budget -= bytes->size();
    for (uint64_t offset = 0; offset + sizeof(Elf64_Rela) <= bytes->size();
         offset += sizeof(Elf64_Rela)) {
      Elf64_Rela relocation;
      std::memcpy(&relocation, bytes->data() + offset, sizeof(relocation));
      if (relocation.r_offset != *slot) continue;
      std::string name =
          SymbolName(file, section, ELF64_R_SYM(relocation.r_info));
      if (name.empty()) return std::nullopt;
      return name + "@plt";
    }
  }
  return std::nullopt;
}

}  // namespace pprofd
