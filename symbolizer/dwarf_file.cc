#include "symbolizer/dwarf_file.h"

#include <elf.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "symbolizer/elf_file.h"

namespace pprofd {
namespace {

// Sections that nobody here reads, a third of what there is; libdw would
// decompress them all the same. The link to an alternate file is for us to
// follow: libdw would open whatever path it names.
bool IsUnread(const ElfSection& section) {
  static constexpr std::array<std::string_view, 8> kUnread = {
      "aranges", "frame", "loc",   "loclists",
      "macinfo", "macro", "names", "pubtypes"};
  std::string_view name = section.name;
  if (name == ".gnu_debugaltlink") return true;
  for (std::string_view prefix : {".debug_", ".zdebug_"}) {
    if (!name.starts_with(prefix)) continue;
    name.remove_prefix(prefix.size());
    return std::find(kUnread.begin(), kUnread.end(), name) != kUnread.end();
  }
  return false;
}

// Lets libdw find no content in the unread sections of a private mapping.
void HideUnread(const ElfFile& file, std::span<uint8_t> bytes) {
  Elf64_Ehdr header;
  if (bytes.size() < sizeof(header)) return;
  std::memcpy(&header, bytes.data(), sizeof(header));
  constexpr uint32_t kNoContent = SHT_NOBITS;
  for (size_t i = 0; i < file.sections().size(); ++i) {
    if (!IsUnread(file.sections()[i])) continue;
    uint64_t at =
        header.e_shoff + i * sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, sh_type);
    if (at > bytes.size() - sizeof(kNoContent)) return;
    std::memcpy(bytes.data() + at, &kNoContent, sizeof(kNoContent));
  }
}

// Debug information is compressed to a third, its texts to a tenth.
constexpr uint64_t kMaxTrustedBytes = 16 << 20;
constexpr uint64_t kMaxRatio = 100;

// Bytes that libelf will make of the compressed debug sections, as claimed.
Result<uint64_t> ClaimedDecompressedBytes(const ElfFile& file) {
  uint64_t total = 0;
  for (const ElfSection& section : file.sections()) {
    bool is_zdebug = section.name.starts_with(".zdebug_");
    bool is_compressed = (section.flags & SHF_COMPRESSED) != 0;
    if (section.type == SHT_NOBITS || (!is_zdebug && !is_compressed) ||
        IsUnread(section)) {
      continue;
    }
    if (section.size < sizeof(Elf64_Chdr) ||
        section.offset.value > file.bytes().size() ||
        section.size > file.bytes().size() - section.offset.value) {
      return Status(StatusCode::kCorrupt, section.name + ": bad compression");
    }
    const uint8_t* raw = file.bytes().data() + section.offset.value;
    uint64_t claimed = 0;
    if (is_compressed) {
      Elf64_Chdr header;
      std::memcpy(&header, raw, sizeof(header));
      claimed = header.ch_size;
    } else {
      for (int i = 4; i < 12; ++i) claimed = claimed << 8 | raw[i];
    }
    if (claimed > DwarfFile::kMaxDecompressedBytes - total) {
      return Status(StatusCode::kExhausted, "debug sections too large");
    }
    if (claimed > kMaxTrustedBytes && claimed / section.size > kMaxRatio) {
      return Status(StatusCode::kExhausted,
                    section.name + ": compressed beyond belief");
    }
    total += claimed;
  }
  return total;
}

std::span<const uint8_t> SectionBytes(Elf_Scn* section) {
  Elf_Data* data = elf_rawdata(section, nullptr);
  if (data == nullptr || data->d_buf == nullptr) return {};
  return {static_cast<const uint8_t*>(data->d_buf), data->d_size};
}

}  // namespace

std::span<const uint8_t> FindSection(Dwarf* dwarf, std::string_view name) {
  Elf* elf = dwarf_getelf(dwarf);
  size_t names = 0;
  if (elf == nullptr || elf_getshdrstrndx(elf, &names) != 0) return {};
  Elf_Scn* section = nullptr;
  while ((section = elf_nextscn(elf, section)) != nullptr) {
    Elf64_Shdr* header = elf64_getshdr(section);
    if (header == nullptr || header->sh_type == SHT_NOBITS) continue;
    const char* text = elf_strptr(elf, names, header->sh_name);
    if (text == nullptr) continue;
    std::string_view found(text);
    for (std::string_view prefix : {".", ".z"}) {
      if (found.starts_with(prefix) && found.substr(prefix.size()) == name) {
        return SectionBytes(section);
      }
    }
  }
  return {};
}

LineSections FindLineSections(Dwarf* dwarf) {
  return {.line = FindSection(dwarf, "debug_line"),
          .str = FindSection(dwarf, "debug_str"),
          .line_str = FindSection(dwarf, "debug_line_str")};
}

namespace {

// Split files have the names of their sections end in ".dwo".
DieSections FindDieSections(Dwarf* dwarf) {
  DieSections sections{.info = FindSection(dwarf, "debug_info"),
                       .abbreviations = FindSection(dwarf, "debug_abbrev"),
                       .addresses = FindSection(dwarf, "debug_addr"),
                       .ranges = FindSection(dwarf, "debug_ranges"),
                       .range_lists = FindSection(dwarf, "debug_rnglists")};
  if (sections.abbreviations.empty()) {
    sections.abbreviations = FindSection(dwarf, "debug_abbrev.dwo");
    sections.range_lists = FindSection(dwarf, "debug_rnglists.dwo");
  }
  return sections;
}

}  // namespace

Result<std::unique_ptr<DwarfFile>> DwarfFile::Open(
    MemoryMap map, std::unique_ptr<DwarfFile> alternate) {
  std::unique_ptr<DwarfFile> file(new DwarfFile());
  file->alternate_ = std::move(alternate);
  file->map_ = std::move(map);
  ASSIGN_OR_RETURN(ElfFile elf, ElfFile::Parse(Bytes(file->map_)));
  ASSIGN_OR_RETURN(file->decompressed_bytes_, ClaimedDecompressedBytes(elf));
  uint64_t start = UINT64_MAX;
  uint64_t end = 0;
  for (const ElfSegment& segment : elf.segments()) {
    if (segment.type != PT_LOAD || (segment.flags & PF_X) == 0) continue;
    start = std::min(start, segment.address.value);
    end = std::max(end, segment.address.value + segment.memory_size);
  }
  if (start < end) {
    file->code_start_ = std::max<uint64_t>(start, 2);  // 0, 1: tombstones
    file->code_end_ = end;
  }
  // libelf writes section headers in place when it decompresses; the mapping is
  // private, so that the file stays as it is.
  auto [data, size] = file->map_.get();
  if (mprotect(data, size, PROT_READ | PROT_WRITE) != 0) {
    return Status::FromErrno(errno, "mprotect");
  }
  HideUnread(elf, {data, size});
  elf_version(EV_CURRENT);
  file->elf_ = UniqueHandle<ElfHandleTraits>(
      elf_memory(reinterpret_cast<char*>(data), size));
  if (!file->elf_) {
    return Status(StatusCode::kCorrupt,
                  std::string("libelf: ") + elf_errmsg(-1));
  }
  RETURN_IF_ERROR(file->Restart());
  return file;
}

Status DwarfFile::Restart() {
  dwarf_.Reset();
  if (alternate_) RETURN_IF_ERROR(alternate_->Restart());
  dwarf_.Reset(dwarf_begin_elf(elf_.get(), DWARF_C_READ, nullptr));
  if (!dwarf_) {
    return Status(StatusCode::kNotFound,
                  std::string("libdw: ") + dwarf_errmsg(-1));
  }
  if (alternate_) dwarf_setalt(dwarf_.get(), alternate_->dwarf());
  line_sections_ = FindLineSections(dwarf_.get());
  die_sections_ = FindDieSections(dwarf_.get());
  return Status::Ok();
}

const DieShapes& DwarfFile::ShapesOf(Dwarf_CU* unit, const UnitFormat& format) {
  Dwarf_Die unit_die;
  Dwarf_Off offset = 0;
  dwarf_cu_die(unit, &unit_die, nullptr, &offset, nullptr, nullptr, nullptr,
               nullptr);
  if (shapes_offset_ == offset && shapes_format_ == format) return shapes_;
  std::span<const uint8_t> section = die_sections_.abbreviations;
  shapes_ = DieShapes::Read(
      section.subspan(std::min<uint64_t>(offset, section.size())), format);
  shapes_offset_ = offset;
  shapes_format_ = format;
  return shapes_;
}

}  // namespace pprofd
