#include "daemon/unwind/cfi_sections.h"

#include <elf.h>

#include <algorithm>

#include "daemon/unwind/cfi_reader.h"
#include "daemon/unwind/eh_frame.h"

namespace pprofd {
namespace {

uint64_t SectionAddress(const ElfFile& file, std::string_view name) {
  const ElfSection* section = file.FindSection(name);
  return section == nullptr ? 0 : section->address.value;
}

// The file's bytes from a module address to the end of its segment.
std::span<const uint8_t> SegmentBytesFrom(const ElfFile& file,
                                          uint64_t address) {
  for (const ElfSegment& segment : file.segments()) {
    if (segment.type != PT_LOAD || address < segment.address.value) continue;
    uint64_t into = address - segment.address.value;
    if (into >= segment.file_size) continue;
    uint64_t offset = segment.offset.value;
    if (offset > file.bytes().size()) continue;
    std::span<const uint8_t> bytes = file.bytes().subspan(offset);
    bytes = bytes.first(std::min<uint64_t>(bytes.size(), segment.file_size));
    return into < bytes.size() ? bytes.subspan(into)
                               : std::span<const uint8_t>();
  }
  return {};
}

std::optional<CfiSection> FindByHeader(const ElfFile& file) {
  for (const ElfSegment& segment : file.segments()) {
    if (segment.type != PT_GNU_EH_FRAME) continue;
    CfiSection header;
    header.bytes = SegmentBytesFrom(file, segment.address.value);
    header.address = segment.address.value;
    header.data_address = segment.address.value;
    CfiReader reader(header.bytes);
    uint8_t version = reader.U8();
    uint8_t encoding = reader.U8();
    reader.U16();  // forms of the sorted table, which is not used
    if (version != 1) continue;
    auto address = ReadEncodedPointer(reader, encoding, header);
    if (!address) continue;
    CfiSection section;
    section.bytes = SegmentBytesFrom(file, *address);
    section.bytes = section.bytes.first(
        std::min(section.bytes.size(), CfiSection::kMaxBytes));
    section.address = *address;
    section.stops_at_zero = true;
    return section;
  }
  return std::nullopt;
}

}  // namespace

std::optional<CfiSection> FindEhFrame(const ElfFile& file) {
  const ElfSection* found = file.FindSection(".eh_frame");
  if (found == nullptr) return FindByHeader(file);
  auto bytes = file.ViewSection(*found);
  if (!bytes.ok()) return FindByHeader(file);
  CfiSection section;
  section.bytes = *bytes;
  section.address = found->address.value;
  section.text_address = SectionAddress(file, ".text");
  section.data_address = SectionAddress(file, ".got");
  return section;
}

std::optional<CfiSection> FindDebugFrame(const ElfFile& file,
                                         std::vector<uint8_t>& storage) {
  const ElfSection* found = file.FindSection(".debug_frame");
  if (found == nullptr) found = file.FindSection(".zdebug_frame");
  if (found == nullptr) return std::nullopt;
  auto bytes = file.ReadSection(*found, storage, kMaxSectionBytes);
  if (!bytes.ok()) return std::nullopt;
  CfiSection section;
  section.bytes = *bytes;
  section.is_eh_frame = false;
  return section;
}

}  // namespace pprofd
