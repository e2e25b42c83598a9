// GoFunctions: the function table that every Go binary carries for itself.
//
// Go describes its text by .gopclntab, stripped binaries included, and nothing
// else: for each function, how far rsp is below the return address, by pc.
// Understood: Go 1.16 to 1.26 (and later while the format's magic stays).
// Borrows: the file's bytes.
// Thread: value.
// Bound: kMaxGoFunctions; kMaxGoSteps of stack depth, of all functions.
#ifndef DAEMON_UNWIND_GO_FUNCTIONS_H_
#define DAEMON_UNWIND_GO_FUNCTIONS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "daemon/model/module.h"
#include "daemon/unwind/row_list.h"
#include "daemon/unwind/unwind_rule.h"
#include "symbolizer/elf_file.h"

namespace pprofd {

inline constexpr uint64_t kMaxGoFunctions = 4u << 20;
inline constexpr uint64_t kMaxGoSteps = 64u << 20;

class GoFunctions {
 public:
  // None when the file has no such table, or one of an unknown form.
  static std::optional<GoFunctions> Find(const ElfFile& file);

  size_t size() const { return count_; }

  // Unwind rows of all functions inside the executable segments.
  RowList MakeRows(const std::vector<LoadSegment>& segments,
                   RuleSet& rules) const;

 private:
  // Positions of fields that moved between versions.
  struct Layout {
    uint32_t name_word = 0;  // header words
    uint32_t pcsp_word = 0;
    uint32_t functions_word = 0;
    uint32_t entry_bytes = 0;  // of an address in the function table
    uint32_t pcsp_field = 0;   // in a function's record
    uint32_t flags_field = 0;
  };
  struct Function {
    uint64_t start = 0;  // module addresses
    uint64_t limit = 0;
    uint32_t pcsp = 0;
    bool is_outermost = false;
    bool switches_stack = false;
  };

  explicit GoFunctions(const ElfFile& file) : file_(&file) {}

  static std::optional<Layout> LayoutOf(uint32_t magic);
  bool ParseHeader(std::span<const uint8_t> table, uint64_t address);
  bool FindTextStart(uint64_t table_address, uint64_t header_value);
  bool IsTextStart(uint64_t address) const;
  std::optional<uint64_t> TextStartFromModuleData(uint64_t table_address) const;
  uint64_t EntryAt(uint64_t index) const;
  std::optional<Function> FunctionAt(uint64_t index) const;
  // `steps` is what may still be read, and goes down by what was.
  void AppendRows(const Function& function, uint64_t shift, RuleSet& rules,
                  uint64_t* steps, RowList* rows) const;
  bool SavesFramePointer(uint64_t pushed_at) const;

  const ElfFile* file_;
  Layout layout_;
  uint64_t count_ = 0;
  uint64_t text_start_ = 0;  // added to entries; 0 when they are absolute
  std::span<const uint8_t> names_;
  std::span<const uint8_t> pcsp_;
  std::span<const uint8_t> functions_;
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_GO_FUNCTIONS_H_
