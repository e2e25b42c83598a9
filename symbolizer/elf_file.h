// ElfFile: bounds-checked view over the bytes of a 64-bit little-endian ELF
// file, and MapFile, the way to get such bytes.
//
// Only headers are copied (at most 65,536 sections and 4,096 segments); section
// contents are views. Contents that lie outside the file are an error of the
// reading, not of the parsing, so that truncated files still tell what they
// can. Owns: headers and section names. Borrows: the bytes. Thread: immutable.
// Fails: Corrupt, Unsupported (32-bit, big-endian, not an ELF file).
#ifndef SYMBOLIZER_ELF_FILE_H_
#define SYMBOLIZER_ELF_FILE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"
#include "daemon/model/module.h"

namespace pprofd {

struct ElfSegment {
  uint32_t type = 0;
  uint32_t flags = 0;
  FileOffset offset;
  ModuleAddr address;
  uint64_t file_size = 0;
  uint64_t memory_size = 0;
};

struct ElfSection {
  std::string name;  // at most 255 bytes
  uint32_t type = 0;
  uint64_t flags = 0;
  ModuleAddr address;
  FileOffset offset;
  uint64_t size = 0;
  uint64_t link = 0;
  uint64_t info = 0;
  uint64_t entry_size = 0;
};

class ElfFile {
 public:
  static Result<ElfFile> Parse(std::span<const uint8_t> bytes);

  uint16_t type() const { return type_; }
  uint16_t machine() const { return machine_; }
  ModuleAddr entry() const { return entry_; }
  std::span<const uint8_t> bytes() const { return bytes_; }

  // All program headers, in file order.
  const std::vector<ElfSegment>& segments() const { return segments_; }
  const std::vector<ElfSection>& sections() const { return sections_; }
  // The first section of that exact name; nullptr if none.
  const ElfSection* FindSection(std::string_view name) const;

  // Bytes of a section that loaders and runtimes read, and that is therefore
  // never compressed. NotFound: it has none in this file. Unsupported: it is
  // compressed all the same. Corrupt: outside the file.
  Result<std::span<const uint8_t>> ViewSection(const ElfSection& section) const;

  // Bytes of a section. Compressed ones (SHF_COMPRESSED with zlib or zstd, and
  // the older .zdebug_ form) are decompressed into `storage`, which must
  // outlive the span. NotFound: the section has no bytes in this file. Corrupt:
  // outside the file or badly compressed. Exhausted: more than max_bytes.
  Result<std::span<const uint8_t>> ReadSection(
      const ElfSection& section, std::vector<uint8_t>& storage,
      uint64_t max_bytes = uint64_t{1} << 30) const;

  // GNU note of a section or PT_NOTE segment; empty if there is none in the
  // first megabyte of them.
  BuildId build_id() const;

  // Through PT_LOAD segments; none outside every segment's file part.
  std::optional<ModuleAddr> ToModuleAddr(FileOffset offset) const;
  std::optional<FileOffset> ToFileOffset(ModuleAddr address) const;
  std::vector<LoadSegment> load_segments() const;

 private:
  explicit ElfFile(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  std::span<const uint8_t> bytes_;
  uint16_t type_ = 0;
  uint16_t machine_ = 0;
  ModuleAddr entry_;
  std::vector<ElfSegment> segments_;
  std::vector<ElfSection> sections_;
};

// Maps a whole regular file (or memfd) read-only.
//
// The owner of a file may cut it while it is mapped. The first call therefore
// installs a SIGBUS handler, which puts a page of zeros under an access beyond
// the end of the file; any other SIGBUS keeps its default effect.
// Fails: Invalid (not a regular file), Corrupt (empty), Exhausted (above 8
// GiB),
//   Io.
Result<MemoryMap> MapFile(int fd);

}  // namespace pprofd

#endif  // SYMBOLIZER_ELF_FILE_H_
