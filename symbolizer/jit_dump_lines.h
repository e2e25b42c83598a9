// JitDumpLines: the line entries of a jitdump's JIT_CODE_DEBUG_INFO record.
//
// Entries follow each other without a size: an address, a line, a
// discriminator, a file name with its NUL. "\xff" stands for the file name of
// the entry before. Node.js 20 writes names whose first bytes are overwritten
// now and then, NULs among them; so a name ends at the first NUL behind which
// an entry that makes sense follows.
// Thread: pure.
// Bound: kMaxFileBytes of a name are looked through; time and answer are linear
//   in the record.
#ifndef SYMBOLIZER_JIT_DUMP_LINES_H_
#define SYMBOLIZER_JIT_DUMP_LINES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace pprofd {

inline constexpr size_t kMaxFileBytes = 4096;

struct JitLineEntry {
  uint64_t address = 0;
  uint32_t line = 0;
  std::string_view file;  // as it stands there, see IsOverwritten()
};

struct JitDumpLines {
  uint64_t code_address = 0;
  std::vector<JitLineEntry> entries;  // as far as they make sense
};

// `record` is what follows the header of the record; borrowed by the answer.
JitDumpLines ParseJitDumpLines(std::span<const uint8_t> record);

// True for a file name that cannot be one.
bool IsOverwritten(std::string_view file);

}  // namespace pprofd

#endif  // SYMBOLIZER_JIT_DUMP_LINES_H_
