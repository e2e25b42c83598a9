// CfiSections: finds the call frame information of an ELF file.
//
// .eh_frame by its section, or, without section headers, through
// PT_GNU_EH_FRAME; .debug_frame, which may be compressed.
// Owns: decompressed bytes. Borrows: the file's bytes.
// Thread: value.
// Bound: kMaxSectionBytes after decompression.
#ifndef DAEMON_UNWIND_CFI_SECTIONS_H_
#define DAEMON_UNWIND_CFI_SECTIONS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "daemon/unwind/cfi.h"
#include "symbolizer/elf_file.h"

namespace pprofd {

inline constexpr uint64_t kMaxSectionBytes = 128u << 20;

std::optional<CfiSection> FindEhFrame(const ElfFile& file);
std::optional<CfiSection> FindDebugFrame(const ElfFile& file,
                                         std::vector<uint8_t>& storage);

}  // namespace pprofd

#endif  // DAEMON_UNWIND_CFI_SECTIONS_H_
