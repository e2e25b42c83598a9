#include "symbolizer/go_module_data.h"

#include <elf.h>

#include <cstring>
#include <optional>
#include <span>

#include "symbolizer/byte_reader.h"

namespace pprofd {
namespace {

constexpr uint64_t kPointerBytes = 8;
constexpr int kMaxCandidates = 64;
// Pointers of the description, by number.
constexpr uint64_t kNamesPointer = 1;
constexpr uint64_t kUnitsPointer = 4;
constexpr uint64_t kTextPointer = 22;
constexpr uint64_t kFuncdataPointer18 = 38;
constexpr uint64_t kFuncdataPointer20 = 40;  // behind two for coverage

class PointerReader {
 public:
  explicit PointerReader(const ElfFile& file) : file_(file) {
    if (const ElfSection* section = file.FindSection(".rela.dyn")) {
      auto bytes = file.ViewSection(*section);
      if (bytes.ok()) relocations_ = *bytes;
    }
  }

  // The pointer at a module address: as in the file, or what a relocation puts
  // there in position-independent files. 0 if that cannot be known.
  uint64_t At(uint64_t address) const {
    if (auto offset = file_.ToFileOffset({address})) {
      uint64_t value = ByteReader(file_.bytes(), offset->value).U64();
      if (value != 0) return value;
    }
    for (uint64_t i = 0; i < relocation_count(); ++i) {
      Elf64_Rela relocation = Relocation(i);
      if (relocation.r_offset == address) {
        return static_cast<uint64_t>(relocation.r_addend);
      }
    }
    return 0;
  }

  uint64_t relocation_count() const {
    return relocations_.size() / sizeof(Elf64_Rela);
  }
  Elf64_Rela Relocation(uint64_t number) const {
    Elf64_Rela relocation;
    std::memcpy(&relocation, relocations_.data() + number * sizeof(Elf64_Rela),
                sizeof(relocation));
    return relocation;
  }

 private:
  const ElfFile& file_;
  std::span<const uint8_t> relocations_;
};

class ModuleDataFinder {
 public:
  ModuleDataFinder(const ElfFile& file, const GoTableParts& table,
                   const PointerReader& pointers)
      : file_(file), table_(table), pointers_(pointers) {}

  std::optional<uint64_t> Find() {
    // A section of its own since Go 1.26.
    if (const ElfSection* own = file_.FindSection(".go.module")) {
      if (IsModuleData(own->address.value)) return own->address.value;
    }
    for (const char* name : {".noptrdata", ".data", ".data.rel.ro"}) {
      const ElfSection* section = file_.FindSection(name);
      if (section == nullptr) continue;
      if (auto found = FindIn(*section)) return found;
    }
    for (uint64_t i = 0; i < pointers_.relocation_count(); ++i) {
      Elf64_Rela relocation = pointers_.Relocation(i);
      if (static_cast<uint64_t>(relocation.r_addend) == table_.address &&
          IsModuleData(relocation.r_offset)) {
        return relocation.r_offset;
      }
    }
    return std::nullopt;
  }

 private:
  std::optional<uint64_t> FindIn(const ElfSection& section) {
    auto bytes = file_.ViewSection(section);
    if (!bytes.ok()) return std::nullopt;
    for (uint64_t at = 0; at + kPointerBytes <= bytes->size();
         at += kPointerBytes) {
      uint64_t value = 0;
      std::memcpy(&value, bytes->data() + at, sizeof(value));
      if (value != table_.address) continue;
      if (IsModuleData(section.address.value + at)) {
        return section.address.value + at;
      }
    }
    return std::nullopt;
  }

  // Costs a pass over the relocations, so only some are looked at.
  bool IsModuleData(uint64_t address) {
    if (candidates_left_ == 0) return false;
    --candidates_left_;
    return pointers_.At(address) == table_.address &&
           pointers_.At(address + kNamesPointer * kPointerBytes) ==
               table_.address + table_.names &&
           pointers_.At(address + kUnitsPointer * kPointerBytes) ==
               table_.address + table_.units;
  }

  const ElfFile& file_;
  const GoTableParts& table_;
  const PointerReader& pointers_;
  int candidates_left_ = kMaxCandidates;
};

}  // namespace

GoModuleData FindGoModuleData(const ElfFile& file, const GoTableParts& table) {
  PointerReader pointers(file);
  GoModuleData data;
  data.text_start = pointers.At(table.text_field);  // until Go 1.25
  auto found = ModuleDataFinder(file, table, pointers).Find();
  if (found) {
    uint64_t number =
        table.is_go_1_20 ? kFuncdataPointer20 : kFuncdataPointer18;
    data.funcdata = pointers.At(*found + number * kPointerBytes);
    if (data.text_start == 0) {
      data.text_start = pointers.At(*found + kTextPointer * kPointerBytes);
    }
  }
  if (data.text_start == 0) {
    const ElfSection* text = file.FindSection(".text");
    if (text != nullptr) data.text_start = text->address.value;
  }
  return data;
}

}  // namespace pprofd
