// CfiIndex: how to unwind at any offset of one file, all registers included.
//
// What the userspace unwinder asks where the kernel half's rules do not reach.
// Call frame information is interpreted at look-up; for code without it the
// module's unwind table answers, which is built at the first need.
// Owns: the file's mapping, sorted functions, the table.
// Thread: one.
// Fails: what ElfFile::Parse says.
#ifndef DAEMON_UNWIND_CFI_INDEX_H_
#define DAEMON_UNWIND_CFI_INDEX_H_

#include <memory>
#include <optional>
#include <vector>

#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"
#include "daemon/unwind/eh_frame.h"
#include "daemon/unwind/unwind_table.h"
#include "symbolizer/elf_file.h"

namespace pprofd {

enum class CodeKind {
  kRow,            // `row` says how
  kKernelSignal,   // registers are in the kernel's signal frame at rsp
  kRoot,           // outermost
  kNoInformation,  // frame pointers are all there is
  kNotUnderstood,
};

struct CodeInfo {
  CodeKind kind = CodeKind::kNoInformation;
  CfiRow row;
  const CfiSection* section = nullptr;  // of the row's expressions
  bool is_signal_frame = false;
};

class CfiIndex {
 public:
  static Result<std::unique_ptr<CfiIndex>> Make(MemoryMap file);
  CfiIndex(const CfiIndex&) = delete;
  CfiIndex& operator=(const CfiIndex&) = delete;

  CodeInfo Find(FileOffset offset);
  // Of memory, without the file's own, which is mapped.
  size_t bytes() const;

 private:
  CfiIndex(MemoryMap file, ElfFile elf)
      : file_(std::move(file)), elf_(std::move(elf)) {}

  void AddSection(const std::optional<CfiSection>& section);
  CodeInfo FindInTable(FileOffset offset);

  MemoryMap file_;
  ElfFile elf_;
  std::vector<uint8_t> debug_storage_;
  std::vector<EhFrame> sections_;  // .eh_frame before .debug_frame
  std::optional<UnwindTable> table_;
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_CFI_INDEX_H_
