// TestElf: makes small ELF files with hand-written call frame information.
#ifndef DAEMON_UNWIND_TEST_ELF_H_
#define DAEMON_UNWIND_TEST_ELF_H_

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace pprofd {

using TestBytes = std::vector<uint8_t>;

inline void Put(TestBytes& out, const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  out.insert(out.end(), bytes, bytes + size);
}
inline void PutU32(TestBytes& out, uint32_t value) { Put(out, &value, 4); }
inline void PutU64(TestBytes& out, uint64_t value) { Put(out, &value, 8); }

// Call frame information with 8-byte absolute addresses.
class TestCfi {
 public:
  explicit TestCfi(bool is_eh_frame = true) : is_eh_frame_(is_eh_frame) {}

  // CFA = rsp + 8, return address at CFA - 8, then `program`. Returns the
  // CIE's position, for Fde().
  uint32_t Cie(const std::string& augmentation = "zR",
               const TestBytes& program = {}) {
    TestBytes body{1};
    Put(body, augmentation.c_str(), augmentation.size() + 1);
    body.insert(body.end(), {1, 0x78, 16});  // alignments 1 and -8, rip
    if (!augmentation.empty()) {
      // One byte: the encoding of addresses, absolute.
      body.insert(body.end(), {1, 0});
    }
    body.insert(body.end(), {0x0c, 7, 8, 0x90, 1});
    Put(body, program.data(), program.size());
    uint32_t position = static_cast<uint32_t>(bytes_.size());
    PutU32(bytes_, static_cast<uint32_t>(body.size() + 4));
    PutU32(bytes_, is_eh_frame_ ? 0 : 0xffffffff);
    Put(bytes_, body.data(), body.size());
    return position;
  }

  void Fde(uint32_t cie, uint64_t start, uint64_t size,
           const TestBytes& program) {
    TestBytes body;
    PutU64(body, start);
    PutU64(body, size);
    if (is_eh_frame_) body.push_back(0);
    Put(body, program.data(), program.size());
    PutU32(bytes_, static_cast<uint32_t>(body.size() + 4));
    uint32_t here = static_cast<uint32_t>(bytes_.size());
    PutU32(bytes_, is_eh_frame_ ? here - cie : cie);
    Put(bytes_, body.data(), body.size());
  }

  const TestBytes& bytes() const { return bytes_; }

 private:
  bool is_eh_frame_;
  TestBytes bytes_;
};

// An executable with one code segment and named sections.
class TestElf {
 public:
  static constexpr uint64_t kTextOffset = 0x1000;
  static constexpr uint64_t kTextAddress = 0x401000;

  explicit TestElf(TestBytes text) : text_(std::move(text)) {}
  void set_entry(uint64_t address) { entry_ = address; }
  void AddSection(const std::string& name, const TestBytes& bytes,
                  uint64_t address = 0) {
    sections_.push_back({name, bytes, address});
  }

  TestBytes Build() const {
    TestBytes file(kTextOffset);
    Put(file, text_.data(), text_.size());
    std::string names(1, '\0');
    std::vector<Elf64_Shdr> headers(1);
    for (const Section& section : sections_) {
      file.resize((file.size() + 7) / 8 * 8);
      Elf64_Shdr header{};
      header.sh_name = static_cast<uint32_t>(names.size());
      header.sh_type = SHT_PROGBITS;
      header.sh_addr = section.address;
      header.sh_offset = file.size();
      header.sh_size = section.bytes.size();
      headers.push_back(header);
      names += section.name + '\0';
      Put(file, section.bytes.data(), section.bytes.size());
    }
    Elf64_Shdr strings{};
    strings.sh_name = static_cast<uint32_t>(names.size());
    names += std::string(".shstrtab") + '\0';
    strings.sh_type = SHT_STRTAB;
    strings.sh_offset = file.size();
    strings.sh_size = names.size();
    headers.push_back(strings);
    Put(file, names.data(), names.size());
    file.resize((file.size() + 7) / 8 * 8);
    PutHeaders(file, headers.size());
    Put(file, headers.data(), headers.size() * sizeof(Elf64_Shdr));
    return file;
  }

 private:
  struct Section {
    std::string name;
    TestBytes bytes;
    uint64_t address;
  };

  void PutHeaders(TestBytes& file, size_t section_count) const {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_entry = entry_;
    header.e_ehsize = sizeof(header);
    header.e_phoff = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 1;
    header.e_shoff = file.size();
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = static_cast<uint16_t>(section_count);
    header.e_shstrndx = static_cast<uint16_t>(section_count - 1);
    Elf64_Phdr segment{};
    segment.p_type = PT_LOAD;
    segment.p_flags = PF_R | PF_X;
    segment.p_offset = kTextOffset;
    segment.p_vaddr = kTextAddress;
    segment.p_filesz = text_.size();
    segment.p_memsz = text_.size();
    std::memcpy(file.data(), &header, sizeof(header));
    std::memcpy(file.data() + sizeof(header), &segment, sizeof(segment));
  }

  TestBytes text_;
  uint64_t entry_ = 0;
  std::vector<Section> sections_;
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_TEST_ELF_H_
