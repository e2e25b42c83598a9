// HostileElf: makes ELF files that nobody should have made, for tests; and
// Ask(), which measures what an answer about one costs.
//
// All symbolizing of these tests goes through Ask().
#ifndef SYMBOLIZER_HOSTILE_ELF_H_
#define SYMBOLIZER_HOSTILE_ELF_H_

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "symbolizer/symbolizer.h"

namespace pprofd {

// Little-endian bytes, appended to.
class Blob {
 public:
  Blob() = default;
  explicit Blob(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}
  static Blob Filled(size_t size, uint8_t byte) {
    return Blob(std::vector<uint8_t>(size, byte));
  }

  Blob& U8(uint64_t value) { return Number(value, 1); }
  Blob& U16(uint64_t value) { return Number(value, 2); }
  Blob& U32(uint64_t value) { return Number(value, 4); }
  Blob& U64(uint64_t value) { return Number(value, 8); }
  Blob& Uleb(uint64_t value) {
    for (; value >= 0x80; value >>= 7) U8((value & 0x7f) | 0x80);
    return U8(value);
  }
  Blob& Text(std::string_view text) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    return U8(0);
  }
  Blob& Append(const Blob& other) {
    bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
    return *this;
  }
  Blob& Repeat(const Blob& other, size_t count) {
    bytes_.reserve(bytes_.size() + other.size() * count);
    for (size_t i = 0; i < count; ++i) Append(other);
    return *this;
  }
  template <typename T>
  Blob& Struct(const T& value) {
    const auto* start = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), start, start + sizeof(value));
    return *this;
  }

  size_t size() const { return bytes_.size(); }
  std::vector<uint8_t>& bytes() { return bytes_; }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  Blob& Number(uint64_t value, int size) {
    for (int i = 0; i < size; ++i) {
      bytes_.push_back(static_cast<uint8_t>(value >> (8 * i)));
    }
    return *this;
  }

  std::vector<uint8_t> bytes_;
};

// A file of one code segment, 64 KiB at kTextAddress, and any sections.
class HostileElf {
 public:
  static constexpr uint64_t kTextOffset = 0x1000;
  static constexpr uint64_t kTextAddress = 0x401000;
  static constexpr uint64_t kTextSize = 0x10000;

  struct Section {
    std::string name = "";
    uint32_t type = SHT_PROGBITS;
    uint64_t flags = 0;
    Blob bytes = {};
    uint32_t link = 0;
    std::optional<uint64_t> claimed_size = std::nullopt;
    std::optional<uint32_t> same_bytes_as = std::nullopt;  // a number
    uint64_t address = 0;
  };
  // Returns the section's number.
  uint32_t Add(Section section) {
    sections_.push_back(std::move(section));
    return static_cast<uint32_t>(sections_.size());
  }
  uint32_t Add(const std::string& name, const Blob& bytes) {
    return Add({.name = name, .bytes = bytes});
  }
  // An SHF_COMPRESSED section; `type` is that of Elf64_Chdr.
  uint32_t AddCompressed(const std::string& name, uint32_t type,
                         uint64_t claimed_size, const Blob& stream) {
    Elf64_Chdr header{};
    header.ch_type = type;
    header.ch_size = claimed_size;
    header.ch_addralign = 1;
    return Add({.name = name,
                .flags = SHF_COMPRESSED,
                .bytes = Blob().Struct(header).Append(stream)});
  }
  void AddBuildId(const Blob& id) {
    Add({.name = ".note.gnu.build-id",
         .type = SHT_NOTE,
         .bytes = Blob().U32(4).U32(id.size()).U32(3).Text("GNU").Append(id)});
  }

  std::vector<uint8_t> Build() const {
    std::vector<uint8_t> file(kTextOffset + kTextSize, 0x90);
    std::vector<Elf64_Shdr> headers(1);
    std::string names(1, '\0');
    for (const Section& section : sections_) {
      Elf64_Shdr header{};
      header.sh_name = static_cast<uint32_t>(names.size());
      header.sh_type = section.type;
      header.sh_flags = section.flags;
      header.sh_addr = section.address;
      header.sh_link = section.link;
      header.sh_offset = file.size();
      header.sh_size = section.claimed_size.value_or(section.bytes.size());
      if (section.same_bytes_as) {
        const Elf64_Shdr& other = headers.at(*section.same_bytes_as);
        header.sh_offset = other.sh_offset;
        header.sh_size = section.claimed_size.value_or(other.sh_size);
      }
      headers.push_back(header);
      names += section.name + '\0';
      const std::vector<uint8_t>& bytes = section.bytes.bytes();
      file.insert(file.end(), bytes.begin(), bytes.end());
      file.resize((file.size() + 7) / 8 * 8);
    }
    Elf64_Shdr strings{};
    strings.sh_name = static_cast<uint32_t>(names.size());
    names += std::string(".shstrtab") + '\0';
    strings.sh_type = SHT_STRTAB;
    strings.sh_offset = file.size();
    strings.sh_size = names.size();
    headers.push_back(strings);
    file.insert(file.end(), names.begin(), names.end());
    PutHeaders(file, headers);
    return file;
  }

 private:
  static void PutHeaders(std::vector<uint8_t>& file,
                         std::vector<Elf64_Shdr>& headers) {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_ehsize = sizeof(header);
    header.e_phoff = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 1;
    header.e_shoff = (file.size() + 7) / 8 * 8;
    header.e_shentsize = sizeof(Elf64_Shdr);
    if (headers.size() < SHN_LORESERVE) {
      header.e_shnum = static_cast<uint16_t>(headers.size());
      header.e_shstrndx = static_cast<uint16_t>(headers.size() - 1);
    } else {
      headers[0].sh_size = headers.size();
      headers[0].sh_link = static_cast<uint32_t>(headers.size() - 1);
      header.e_shstrndx = SHN_XINDEX;
    }
    Elf64_Phdr segment{};
    segment.p_type = PT_LOAD;
    segment.p_flags = PF_R | PF_X;
    segment.p_offset = kTextOffset;
    segment.p_vaddr = kTextAddress;
    segment.p_filesz = kTextSize;
    segment.p_memsz = kTextSize;
    file.resize(header.e_shoff + headers.size() * sizeof(Elf64_Shdr));
    std::memcpy(file.data(), &header, sizeof(header));
    std::memcpy(file.data() + sizeof(header), &segment, sizeof(segment));
    std::memcpy(file.data() + header.e_shoff, headers.data(),
                headers.size() * sizeof(Elf64_Shdr));
  }

  std::vector<Section> sections_;
};

// Entries of .debug_abbrev, without the closing zero.
inline Blob Abbreviation(
    uint64_t code, uint64_t tag, bool has_children,
    std::initializer_list<std::pair<uint64_t, uint64_t>> attributes) {
  Blob entry;
  entry.Uleb(code).Uleb(tag).U8(has_children ? 1 : 0);
  for (const auto& [name, form] : attributes) entry.Uleb(name).Uleb(form);
  return entry.U8(0).U8(0);
}

// A compilation unit of DWARF 5.
inline Blob DwarfUnit(const Blob& dies, uint64_t abbreviations = 0,
                      uint8_t unit_type = 1) {
  return Blob()
      .U32(dies.size() + 8)
      .U16(5)
      .U8(unit_type)
      .U8(8)
      .U32(abbreviations)
      .Append(dies);
}
inline constexpr uint64_t kUnitHeaderBytes = 12;

struct HostileAnswer {
  ModuleSymbols symbols;
  SourceReport report;
  double cpu_seconds = 0;
  uint64_t grown_bytes = 0;  // from before to the peak
};

struct HostileQuestion {
  std::string path = "/nowhere/module";
  std::vector<std::string> debug_roots = {};
  // Evenly over these bytes.
  uint64_t address_count = 256;
  uint64_t start = HostileElf::kTextAddress;
  uint64_t size = HostileElf::kTextSize;
};

// Names addresses of an open file; the limit of time is kDeadlineSeconds.
inline constexpr int kDeadlineSeconds = 2;
HostileAnswer Ask(int file, const HostileQuestion& question = {});
// The same of a file in memory.
HostileAnswer Ask(const std::vector<uint8_t>& bytes,
                  const HostileQuestion& question = {});

// The answer has a chain for each address, came soon after the deadline at the
// latest, and took no more memory than `max_bytes`.
void ExpectWithinLimits(const HostileAnswer& answer,
                        uint64_t max_bytes = uint64_t{256} << 20);

}  // namespace pprofd

#endif  // SYMBOLIZER_HOSTILE_ELF_H_
