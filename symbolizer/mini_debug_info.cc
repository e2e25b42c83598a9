#include "symbolizer/mini_debug_info.h"

#include <utility>

#include "symbolizer/decompress.h"

namespace pprofd {

Result<MiniDebugInfo> MiniDebugInfo::Open(const ElfFile& file) {
  const ElfSection* section = file.FindSection(".gnu_debugdata");
  if (section == nullptr) {
    return Status(StatusCode::kNotFound, "no .gnu_debugdata");
  }
  std::vector<uint8_t> storage;
  ASSIGN_OR_RETURN(std::span<const uint8_t> packed,
                   file.ReadSection(*section, storage, kMaxBytes));
  std::vector<uint8_t> bytes;
  RETURN_IF_ERROR(InflateXz(packed, kMaxBytes, bytes));
  ASSIGN_OR_RETURN(ElfFile elf, ElfFile::Parse(bytes));
  return MiniDebugInfo(std::move(bytes), std::move(elf));
}

}  // namespace pprofd
