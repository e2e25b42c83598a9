#include "symbolizer/elf_file.h"

#include <elf.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>

#include "symbolizer/decompress.h"

namespace pprofd {
namespace {

constexpr uint64_t kMaxSections = 65536;
constexpr uint64_t kMaxSegments = 4096;
constexpr uint64_t kMaxSectionNameBytes = 255;
constexpr uint64_t kMaxFileBytes = uint64_t{8} << 30;
constexpr uint64_t kMaxBuildIdBytes = 64;
constexpr uint64_t kMaxNoteBytes = 1 << 20;  // of all notes of a file

Status Corrupt(std::string message) {
  return Status(StatusCode::kCorrupt, std::move(message));
}

// The part [offset, offset + size) of `bytes`; nothing if it does not fit.
std::optional<std::span<const uint8_t>> Slice(std::span<const uint8_t> bytes,
                                              uint64_t offset, uint64_t size) {
  if (offset > bytes.size() || size > bytes.size() - offset) {
    return std::nullopt;
  }
  return bytes.subspan(offset, size);
}

template <typename T>
std::optional<T> ReadAt(std::span<const uint8_t> bytes, uint64_t offset) {
  auto slice = Slice(bytes, offset, sizeof(T));
  if (!slice) return std::nullopt;
  T value;
  std::memcpy(&value, slice->data(), sizeof(T));
  return value;
}

std::string NameAt(std::span<const uint8_t> strings, uint64_t offset) {
  if (offset >= strings.size()) return "";
  const char* start = reinterpret_cast<const char*>(strings.data()) + offset;
  return std::string(start, strnlen(start, std::min(kMaxSectionNameBytes,
                                                    strings.size() - offset)));
}

// Counts of headers, which move into section 0 when they do not fit.
struct HeaderCounts {
  uint64_t sections = 0;
  uint64_t segments = 0;
  uint64_t names_index = 0;
};

Result<HeaderCounts> CountHeaders(std::span<const uint8_t> bytes,
                                  const Elf64_Ehdr& header) {
  HeaderCounts counts{header.e_shnum, header.e_phnum, header.e_shstrndx};
  if (header.e_shoff == 0) {
    counts.sections = 0;
  } else if (auto first = ReadAt<Elf64_Shdr>(bytes, header.e_shoff)) {
    if (header.e_shnum == 0) counts.sections = first->sh_size;
    if (header.e_phnum == PN_XNUM) counts.segments = first->sh_info;
    if (header.e_shstrndx == SHN_XINDEX) counts.names_index = first->sh_link;
  } else {
    counts.sections = 0;  // a truncated file: its segments may still do
  }
  if (header.e_phoff == 0) counts.segments = 0;
  if (counts.sections > kMaxSections) return Corrupt("too many ELF sections");
  if (counts.segments > kMaxSegments) return Corrupt("too many ELF segments");
  if (counts.sections > 0 && header.e_shentsize != sizeof(Elf64_Shdr)) {
    return Corrupt("bad size of ELF section headers");
  }
  if (counts.segments > 0 && header.e_phentsize != sizeof(Elf64_Phdr)) {
    return Corrupt("bad size of ELF program headers");
  }
  return counts;
}

std::vector<ElfSection> ReadSections(std::span<const uint8_t> bytes,
                                     uint64_t table_offset,
                                     const HeaderCounts& counts) {
  auto header_at = [&](uint64_t index) {
    return ReadAt<Elf64_Shdr>(bytes, table_offset + index * sizeof(Elf64_Shdr));
  };
  std::span<const uint8_t> names;
  if (counts.names_index < counts.sections) {
    if (auto header = header_at(counts.names_index)) {
      names = Slice(bytes, header->sh_offset, header->sh_size)
                  .value_or(std::span<const uint8_t>());
    }
  }
  std::vector<ElfSection> sections;
  for (uint64_t i = 0; i < counts.sections; ++i) {
    auto header = header_at(i);
    if (!header) break;
    sections.push_back({.name = NameAt(names, header->sh_name),
                        .type = header->sh_type,
                        .flags = header->sh_flags,
                        .address = {header->sh_addr},
                        .offset = {header->sh_offset},
                        .size = header->sh_size,
                        .link = header->sh_link,
                        .info = header->sh_info,
                        .entry_size = header->sh_entsize});
  }
  return sections;
}

// The descriptor of the GNU build-ID note among the notes in `notes`.
std::optional<BuildId> FindBuildIdNote(std::span<const uint8_t> notes) {
  uint64_t offset = 0;
  while (auto header = ReadAt<Elf64_Nhdr>(notes, offset)) {
    uint64_t name_offset = offset + sizeof(Elf64_Nhdr);
    uint64_t desc_offset =
        name_offset + ((uint64_t{header->n_namesz} + 3) & ~uint64_t{3});
    auto name = Slice(notes, name_offset, header->n_namesz);
    auto desc = Slice(notes, desc_offset, header->n_descsz);
    if (!name || !desc) return std::nullopt;
    if (header->n_type == NT_GNU_BUILD_ID && name->size() == 4 &&
        std::memcmp(name->data(), "GNU", 4) == 0 && !desc->empty() &&
        desc->size() <= kMaxBuildIdBytes) {
      return BuildId(std::string(desc->begin(), desc->end()));
    }
    offset = desc_offset + ((uint64_t{header->n_descsz} + 3) & ~uint64_t{3});
  }
  return std::nullopt;
}

Result<std::span<const uint8_t>> ReadCompressed(std::span<const uint8_t> raw,
                                                std::vector<uint8_t>& storage,
                                                uint64_t max_bytes) {
  auto header = ReadAt<Elf64_Chdr>(raw, 0);
  if (!header) return Corrupt("compressed section without header");
  std::span<const uint8_t> body = raw.subspan(sizeof(Elf64_Chdr));
  switch (header->ch_type) {
    case ELFCOMPRESS_ZLIB:
      RETURN_IF_ERROR(InflateZlib(body, header->ch_size, max_bytes, storage));
      break;
    case 2:  // ELFCOMPRESS_ZSTD, which older elf.h lack
      RETURN_IF_ERROR(InflateZstd(body, header->ch_size, max_bytes, storage));
      break;
    default:
      return Status(StatusCode::kUnsupported, "unknown section compression");
  }
  return std::span<const uint8_t>(storage);
}

// .zdebug_ sections: "ZLIB", the size in 8 big-endian bytes, then the stream.
Result<std::span<const uint8_t>> ReadZdebug(std::span<const uint8_t> raw,
                                            std::vector<uint8_t>& storage,
                                            uint64_t max_bytes) {
  uint64_t size = 0;
  for (int i = 4; i < 12; ++i) size = size << 8 | raw[i];
  RETURN_IF_ERROR(InflateZlib(raw.subspan(12), size, max_bytes, storage));
  return std::span<const uint8_t>(storage);
}

// Backs a page that its file no longer has with zeros.
void OnBusError(int signal_number, siginfo_t* info, void*) {
  if (info->si_code == BUS_ADRERR) {
    int saved_errno = errno;
    auto address = reinterpret_cast<uintptr_t>(info->si_addr);
    uintptr_t page = address & ~(static_cast<uintptr_t>(getpagesize()) - 1);
    void* mapped = mmap(reinterpret_cast<void*>(page), getpagesize(),
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    errno = saved_errno;
    if (mapped != MAP_FAILED) return;
  }
  std::signal(signal_number, SIG_DFL);  // the access repeats, and ends us
}

void InstallBusErrorHandler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_sigaction = OnBusError;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, nullptr);
  });
}

}  // namespace

Result<ElfFile> ElfFile::Parse(std::span<const uint8_t> bytes) {
  auto header = ReadAt<Elf64_Ehdr>(bytes, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
    return Status(StatusCode::kUnsupported, "not an ELF file");
  }
  if (header->e_ident[EI_CLASS] != ELFCLASS64 ||
      header->e_ident[EI_DATA] != ELFDATA2LSB) {
    return Status(StatusCode::kUnsupported,
                  "not a 64-bit little-endian ELF file");
  }
  ASSIGN_OR_RETURN(HeaderCounts counts, CountHeaders(bytes, *header));
  ElfFile file(bytes);
  file.type_ = header->e_type;
  file.machine_ = header->e_machine;
  file.entry_ = {header->e_entry};
  for (uint64_t i = 0; i < counts.segments; ++i) {
    auto segment =
        ReadAt<Elf64_Phdr>(bytes, header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment) return Corrupt("ELF program headers outside the file");
    uint64_t size = std::max(segment->p_filesz, segment->p_memsz);
    if (segment->p_type == PT_LOAD && (size > UINT64_MAX - segment->p_offset ||
                                       size > UINT64_MAX - segment->p_vaddr)) {
      return Corrupt("ELF segment beyond the address space");
    }
    file.segments_.push_back({.type = segment->p_type,
                              .flags = segment->p_flags,
                              .offset = {segment->p_offset},
                              .address = {segment->p_vaddr},
                              .file_size = segment->p_filesz,
                              .memory_size = segment->p_memsz});
  }
  file.sections_ = ReadSections(bytes, header->e_shoff, counts);
  return file;
}

const ElfSection* ElfFile::FindSection(std::string_view name) const {
  for (const ElfSection& section : sections_) {
    if (section.name == name) return &section;
  }
  return nullptr;
}

Result<std::span<const uint8_t>> ElfFile::ViewSection(
    const ElfSection& section) const {
  if (section.type == SHT_NOBITS || section.type == SHT_NULL) {
    return Status(StatusCode::kNotFound, section.name + ": no bytes in file");
  }
  if ((section.flags & SHF_COMPRESSED) != 0) {
    return Status(StatusCode::kUnsupported, section.name + ": compressed");
  }
  auto raw = Slice(bytes_, section.offset.value, section.size);
  if (!raw) return Corrupt(section.name + ": outside the file");
  return *raw;
}

Result<std::span<const uint8_t>> ElfFile::ReadSection(
    const ElfSection& section, std::vector<uint8_t>& storage,
    uint64_t max_bytes) const {
  if (section.type == SHT_NOBITS || section.type == SHT_NULL) {
    return Status(StatusCode::kNotFound, section.name + ": no bytes in file");
  }
  auto raw = Slice(bytes_, section.offset.value, section.size);
  if (!raw) return Corrupt(section.name + ": outside the file");
  if ((section.flags & SHF_COMPRESSED) != 0) {
    auto result = ReadCompressed(*raw, storage, max_bytes);
    if (!result.ok()) return result.status().WithContext(section.name);
    return result;
  }
  if (section.name.starts_with(".zdebug_") && raw->size() >= 12 &&
      std::memcmp(raw->data(), "ZLIB", 4) == 0) {
    auto result = ReadZdebug(*raw, storage, max_bytes);
    if (!result.ok()) return result.status().WithContext(section.name);
    return result;
  }
  if (raw->size() > max_bytes) {
    return Status(StatusCode::kExhausted, section.name + ": too large");
  }
  return *raw;
}

BuildId ElfFile::build_id() const {
  uint64_t budget = kMaxNoteBytes;
  auto find_in = [&](uint64_t offset, uint64_t size) -> std::optional<BuildId> {
    auto notes = Slice(bytes_, offset, size);
    if (!notes) return std::nullopt;
    auto read = notes->first(std::min<uint64_t>(notes->size(), budget));
    budget -= read.size();
    return FindBuildIdNote(read);
  };
  for (const ElfSection& section : sections_) {
    if (section.type != SHT_NOTE) continue;
    if (auto id = find_in(section.offset.value, section.size)) return *id;
  }
  for (const ElfSegment& segment : segments_) {
    if (segment.type != PT_NOTE) continue;
    auto id = find_in(segment.offset.value, segment.file_size);
    if (id) return *id;
  }
  return BuildId();
}

std::optional<ModuleAddr> ElfFile::ToModuleAddr(FileOffset offset) const {
  for (const ElfSegment& segment : segments_) {
    if (segment.type == PT_LOAD && offset >= segment.offset &&
        offset.value - segment.offset.value < segment.file_size) {
      return ModuleAddr{offset.value - segment.offset.value +
                        segment.address.value};
    }
  }
  return std::nullopt;
}

std::optional<FileOffset> ElfFile::ToFileOffset(ModuleAddr address) const {
  for (const ElfSegment& segment : segments_) {
    if (segment.type == PT_LOAD && address >= segment.address &&
        address.value - segment.address.value < segment.file_size) {
      return FileOffset{address.value - segment.address.value +
                        segment.offset.value};
    }
  }
  return std::nullopt;
}

std::vector<LoadSegment> ElfFile::load_segments() const {
  std::vector<LoadSegment> result;
  for (const ElfSegment& segment : segments_) {
    if (segment.type != PT_LOAD) continue;
    result.push_back({.offset = segment.offset,
                      .address = segment.address,
                      .file_size = segment.file_size,
                      .is_executable = (segment.flags & PF_X) != 0});
  }
  return result;
}

Result<MemoryMap> MapFile(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return Status::FromErrno(errno, "fstat");
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kInvalid, "not a regular file");
  }
  if (info.st_size == 0) return Corrupt("empty file");
  auto size = static_cast<uint64_t>(info.st_size);
  if (size > kMaxFileBytes) {
    return Status(StatusCode::kExhausted, "file above 8 GiB");
  }
  InstallBusErrorHandler();
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return Status::FromErrno(errno, "mmap");
  return MemoryMap({static_cast<uint8_t*>(data), size});
}

}  // namespace pprofd
