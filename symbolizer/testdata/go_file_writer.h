// GoFileWriter: small ELF files with the tables of Go programs.
//
// main.outer lies at kOuter, with main.middle of another file inlined at +0x20
// to +0x5f, and in that main.inner at +0x30 to +0x3f; it ends at +0xf0.
// main.plain follows at +0x100 and has no tree of inlined calls. There are no
// symbols.
#ifndef SYMBOLIZER_TESTDATA_GO_FILE_WRITER_H_
#define SYMBOLIZER_TESTDATA_GO_FILE_WRITER_H_

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace pprofd {

class GoFileWriter {
 public:
  enum class Layout : uint8_t { kGo16, kGo18, kGo20, kGo26 };
  static constexpr uint64_t kBase = 0x400000;  // of file offset 0
  static constexpr uint64_t kOuter = 0x401000;

  explicit GoFileWriter(Layout layout) : layout_(layout) {}

  bool has_relocations = false;  // in place of pointers
  bool has_module_data = true;   // unless kGo16
  uint32_t parent_of_inner = 0x2f;
  uint32_t name_of_inner = UINT32_MAX;  // UINT32_MAX: the right one

  std::vector<uint8_t> Write() {
    file_.assign(kFileBytes, 0);
    name_offsets_.clear();
    relocations_.clear();
    WriteTable();
    WriteCalls();
    if (has_offsets() && has_module_data) WriteModuleData();
    WriteHeaders();
    return file_;
  }

 private:
  static constexpr uint64_t kText = 0x1000;  // file offsets
  static constexpr uint64_t kRodata = 0x2000;
  static constexpr uint64_t kTable = 0x3000;
  static constexpr uint64_t kData = 0x4000;
  static constexpr uint64_t kRelocations = 0x5000;
  static constexpr uint64_t kSectionNames = 0x5800;
  static constexpr uint64_t kSections = 0x6000;
  static constexpr uint64_t kFileBytes = 0x7000;
  static constexpr uint64_t kFuncdata = kRodata + 0x40;  // runtime's base
  static constexpr uint64_t kCalls = kFuncdata + 0x18;
  static constexpr uint64_t kModuleData = kData + 0x20;

  bool has_offsets() const { return layout_ != Layout::kGo16; }
  bool is_new() const { return layout_ >= Layout::kGo20; }

  void Set(uint64_t offset, uint64_t value, size_t size) {
    std::memcpy(file_.data() + offset, &value, size);
  }
  void SetPointer(uint64_t offset, uint64_t target) {
    if (has_relocations) {
      relocations_.push_back({.r_offset = kBase + offset,
                              .r_info = R_X86_64_RELATIVE,
                              .r_addend = static_cast<Elf64_Sxword>(target)});
    } else {
      Set(offset, target, 8);
    }
  }

  static void Put(std::string* out, uint64_t value, size_t size) {
    char bytes[sizeof(value)];
    std::memcpy(bytes, &value, sizeof(value));
    out->append(bytes, size);
  }
  static void PutUleb(std::string* out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
      out->push_back(static_cast<char>(value | 0x80));
    }
    out->push_back(static_cast<char>(value));
  }
  // {value, up to} in order.
  static std::string Program(
      const std::vector<std::pair<int32_t, uint32_t>>& steps) {
    std::string out;
    int64_t last = -1;
    uint32_t at = 0;
    for (auto [value, limit] : steps) {
      int64_t difference = value - last;
      PutUleb(&out, difference < 0 ? static_cast<uint64_t>(~difference) << 1 | 1
                                   : static_cast<uint64_t>(difference) << 1);
      PutUleb(&out, limit - at);
      last = value;
      at = limit;
    }
    return out + '\0';
  }
  static std::string Padded(std::string text) {
    text.resize((text.size() + 7) / 8 * 8);
    return text;
  }

  void WriteTable() {
    std::string names;
    for (const char* name :
         {"main.outer", "main.plain", "main.middle", "main.inner"}) {
      name_offsets_.push_back(static_cast<uint32_t>(names.size()));
      names.append(name).push_back('\0');
    }
    std::string files("/src/a.go\0/src/b.go\0", 20);
    std::string units;
    Put(&units, 0, 4);
    Put(&units, 10, 4);
    std::string programs(1, '\0');
    auto add = [&](const std::vector<std::pair<int32_t, uint32_t>>& steps) {
      auto offset = static_cast<uint32_t>(programs.size());
      programs += Program(steps);
      return offset;
    };
    uint32_t outer_files =
        add({{0, 0x20}, {1, 0x30}, {0, 0x40}, {1, 0x60}, {0, 0xf0}});
    uint32_t outer_lines =
        add({{10, 0x20}, {20, 0x30}, {30, 0x40}, {21, 0x60}, {11, 0xf0}});
    uint32_t outer_calls =
        add({{-1, 0x20}, {0, 0x30}, {1, 0x40}, {0, 0x60}, {-1, 0xf0}});
    uint32_t plain_files = add({{1, 0x40}});
    uint32_t plain_lines = add({{40, 0x40}});

    std::string header;
    Put(&header,
        layout_ == Layout::kGo16   ? 0xfffffffa
        : layout_ == Layout::kGo18 ? 0xfffffff0
                                   : 0xfffffff1,
        4);
    Put(&header, 0x08010000, 4);  // instructions of 1, pointers of 8 bytes
    Put(&header, 2, 8);
    Put(&header, 2, 8);
    uint64_t text_field = header.size();
    if (has_offsets()) Put(&header, 0, 8);
    uint64_t at = header.size() + 5 * 8;
    std::string parts;
    uint64_t offsets[5] = {};
    size_t number = 0;
    for (const std::string& part : {names, units, files, programs}) {
      offsets[number++] = at + parts.size();
      parts += Padded(part);
    }
    names_ = offsets[0];
    units_ = offsets[1];
    offsets[4] = at + parts.size();
    for (uint64_t offset : offsets) Put(&header, offset, 8);
    std::string table = header + parts;
    uint64_t functions = kTable + table.size();
    std::memcpy(file_.data() + kTable, table.data(), table.size());
    if (has_offsets() && layout_ != Layout::kGo26) {
      SetPointer(kTable + text_field, kOuter);
    }

    size_t size = has_offsets() ? 4 : 8;
    uint64_t start = has_offsets() ? 0 : kOuter;
    uint64_t outer = 0x40;  // offsets of the functions
    uint64_t plain = 0xc0;
    uint64_t place = functions;
    for (uint64_t value : {start, outer, start + 0x100, plain, start + 0x140}) {
      Set(place, value, size);
      place += size;
    }
    WriteFunction(functions + outer, start, name_offsets_[0], outer_files,
                  outer_lines, 9, outer_calls);
    WriteFunction(functions + plain, start + 0x100, name_offsets_[1],
                  plain_files, plain_lines, 39, 0);
  }

  void WriteFunction(uint64_t at, uint64_t entry, uint32_t name, uint32_t files,
                     uint32_t lines, uint32_t start_line, uint32_t calls) {
    std::string out;
    Put(&out, entry, has_offsets() ? 4 : 8);
    Put(&out, name, 4);
    out.append(12, '\0');
    Put(&out, files, 4);
    Put(&out, lines, 4);
    Put(&out, calls != 0 ? 3 : 0, 4);
    Put(&out, 0, 4);  // unit
    if (is_new()) Put(&out, start_line, 4);
    out.append(3, '\0');
    out.push_back(calls != 0 ? 4 : 0);
    if (calls != 0) {
      Put(&out, 0, 8);
      Put(&out, calls, 4);
      if (has_offsets()) {
        Put(&out, ~uint64_t{0}, 8);
        Put(&out, ~uint64_t{0}, 4);
        Put(&out, kCalls - kFuncdata, 4);
      } else {
        while ((at + out.size()) % 8 != 0) out.push_back('\0');
        out.append(24, '\0');
        Put(&out, kBase + kCalls, 8);
      }
    }
    std::memcpy(file_.data() + at, out.data(), out.size());
  }

  void WriteCalls() {
    std::string out;
    auto add = [&](uint32_t name, uint32_t parent, uint32_t start_line) {
      if (is_new()) {
        Put(&out, 0, 4);
      } else {
        Put(&out, 0, 8);
        Put(&out, 0, 4);
      }
      Put(&out, name, 4);
      Put(&out, parent, 4);
      if (is_new()) Put(&out, start_line, 4);
    };
    add(name_offsets_[2], 0x1f, 19);
    add(name_of_inner != UINT32_MAX ? name_of_inner : name_offsets_[3],
        parent_of_inner, 29);
    std::memcpy(file_.data() + kCalls, out.data(), out.size());
  }

  void WriteModuleData() {
    uint64_t table = kBase + kTable;
    SetPointer(kData + 8, table);  // something else that points there
    SetPointer(kModuleData, table);
    SetPointer(kModuleData + 1 * 8, table + names_);
    SetPointer(kModuleData + 4 * 8, table + units_);
    SetPointer(kModuleData + 22 * 8, kOuter);
    SetPointer(kModuleData + (is_new() ? 40 : 38) * 8, kBase + kFuncdata);
  }

  void WriteHeaders() {
    for (size_t i = 0; i < relocations_.size(); ++i) {
      std::memcpy(file_.data() + kRelocations + i * sizeof(Elf64_Rela),
                  &relocations_[i], sizeof(Elf64_Rela));
    }
    struct Place {
      const char* name;
      uint64_t offset;
      uint64_t size;
      uint32_t type;
    };
    const Place kPlaces[] = {
        {".text", kText, 0x200, SHT_PROGBITS},
        {".rodata", kRodata, 0x200, SHT_PROGBITS},
        {".gopclntab", kTable, 0x800, SHT_PROGBITS},
        {layout_ == Layout::kGo26 ? ".go.module" : ".noptrdata",
         layout_ == Layout::kGo26 ? kModuleData : kData, 0x400, SHT_PROGBITS},
        {".rela.dyn", kRelocations, relocations_.size() * sizeof(Elf64_Rela),
         SHT_RELA},
        {".shstrtab", kSectionNames, 0x100, SHT_STRTAB}};
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_phoff = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 1;
    header.e_shoff = kSections;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = std::size(kPlaces) + 1;
    header.e_shstrndx = std::size(kPlaces);
    std::memcpy(file_.data(), &header, sizeof(header));
    Elf64_Phdr load{};
    load.p_type = PT_LOAD;
    load.p_flags = PF_R | PF_X;
    load.p_vaddr = kBase;
    load.p_filesz = kSectionNames;
    load.p_memsz = kSectionNames;
    std::memcpy(file_.data() + sizeof(header), &load, sizeof(load));
    uint64_t name = 1;
    uint64_t at = kSections;
    for (const Place& place : kPlaces) {
      at += sizeof(Elf64_Shdr);
      Elf64_Shdr section{};
      section.sh_name = static_cast<Elf64_Word>(name);
      section.sh_type = place.type;
      section.sh_addr = kBase + place.offset;
      section.sh_offset = place.offset;
      section.sh_size = place.size;
      std::memcpy(file_.data() + at, &section, sizeof(section));
      std::memcpy(file_.data() + kSectionNames + name, place.name,
                  std::strlen(place.name));
      name += std::strlen(place.name) + 1;
    }
  }

  const Layout layout_;
  std::vector<uint8_t> file_;
  std::vector<Elf64_Rela> relocations_;
  std::vector<uint32_t> name_offsets_;
  uint64_t names_ = 0;
  uint64_t units_ = 0;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_TESTDATA_GO_FILE_WRITER_H_
