// MiniDebugInfo: the symbol table that distributions leave in stripped files.
//
// .gnu_debugdata holds an ELF file, compressed with xz, whose .symtab has the
// functions that .dynsym does not. Owns: the decompressed file. Thread:
// immutable once open.
// Bound: kMaxBytes of output, and what xz -9 needs to decode.
// Fails: NotFound (no such section), Corrupt, Exhausted, Unsupported (the
//   content is no ELF file that we read).
#ifndef SYMBOLIZER_MINI_DEBUG_INFO_H_
#define SYMBOLIZER_MINI_DEBUG_INFO_H_

#include <cstdint>
#include <vector>

#include "daemon/base/status.h"
#include "symbolizer/elf_file.h"

namespace pprofd {

class MiniDebugInfo {
 public:
  static constexpr uint64_t kMaxBytes = 64 << 20;

  static Result<MiniDebugInfo> Open(const ElfFile& file);

  const ElfFile& elf() const { return elf_; }

 private:
  // A moved vector keeps its bytes where they are, so `elf` stays valid.
  MiniDebugInfo(std::vector<uint8_t> bytes, ElfFile elf)
      : bytes_(std::move(bytes)), elf_(std::move(elf)) {}

  std::vector<uint8_t> bytes_;
  ElfFile elf_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_MINI_DEBUG_INFO_H_
