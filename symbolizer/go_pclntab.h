// GoPclntab: functions, files, lines and inlined calls of Go's own table,
// .gopclntab.
//
// The Go runtime needs the table for its stack traces, so that it is there even
// in binaries linked with -s -w. Layouts of Go 1.16, 1.18 and 1.20 on. It is
// read in place: a look-up is one binary search and a few short decodings.
// The trees of inlined calls lie outside of the table. Where they cannot be
// found (pointers of Go 1.16 and 1.17 that are relocated), a line of another
// file than the function's is one of an inlined call and is left out. Padding
// behind a function is not of it.
// Borrows: the bytes of the file.
// Thread: immutable.
// Bound: kMaxDepth inlined calls, kMaxSteps of decoding per look-up.
#ifndef SYMBOLIZER_GO_PCLNTAB_H_
#define SYMBOLIZER_GO_PCLNTAB_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "daemon/model/ids.h"
#include "symbolizer/elf_file.h"

namespace pprofd {

struct GoLine {
  std::string_view function;
  std::string_view file;    // "" unknown
  uint32_t line = 0;        // 0 unknown
  uint32_t start_line = 0;  // 0 before Go 1.20
};

class GoPclntab {
 public:
  static constexpr size_t kMaxDepth = 64;
  static constexpr uint64_t kMaxSteps = 1 << 20;

  // Nothing when the file has no table, or one of another layout.
  static std::optional<GoPclntab> Open(const ElfFile& file);

  // Innermost inlined call first, the function itself last; empty: nothing
  // known.
  std::vector<GoLine> Find(ModuleAddr address) const;
  uint64_t function_count() const { return function_count_; }

 private:
  enum class Layout : uint8_t { kGo16, kGo18, kGo20 };
  struct Function {
    uint64_t entry = 0;
    uint32_t name = 0;
    uint32_t pc_file = 0;
    uint32_t pc_line = 0;
    uint32_t unit = 0;
    uint32_t start_line = 0;
    uint32_t pc_call = 0;  // which inlined call; 0 = there are none
    // Of its tree of inlined calls; nothing: not found.
    std::optional<std::span<const uint8_t>> calls;
  };
  struct InlinedCall {
    std::string_view name;
    uint32_t start_line = 0;
    uint32_t parent = 0;  // an instruction of the call, from the entry
  };
  // What is left of kMaxSteps.
  using Steps = uint64_t;

  std::span<const uint8_t> From(uint64_t offset) const {
    return offset <= table_.size() ? table_.subspan(offset) : table_.last(0);
  }
  bool has_offsets() const { return layout_ != Layout::kGo16; }
  void FindFuncdata(const ElfFile& file, uint64_t address);
  uint64_t EntryOf(uint64_t number) const;
  std::optional<Function> ReadFunction(uint64_t number) const;
  std::optional<std::span<const uint8_t>> CallsAt(uint64_t pointers) const;
  std::optional<InlinedCall> ReadCall(const Function& function,
                                      int64_t number) const;
  int64_t ValueAt(uint32_t program, uint64_t entry, uint64_t address,
                  Steps& steps) const;
  std::string_view FileName(const Function& function, int64_t number) const;
  bool IsPadding(const Function& function, uint64_t address,
                 Steps& steps) const;
  bool AddInlinedCalls(const Function& function, uint64_t& address,
                       Steps& steps, std::vector<GoLine>& lines) const;
  void Locate(const Function& function, uint64_t address, Steps& steps,
              GoLine& line) const;

  std::span<const uint8_t> table_;
  uint64_t address_ = 0;  // of the table
  Layout layout_ = Layout::kGo20;
  uint8_t quantum_ = 1;  // smallest size of an instruction
  uint64_t function_count_ = 0;
  uint64_t text_start_ = 0;  // Go 1.18: entries are offsets from there
  // Where the trees of inlined calls are: Go 1.18: from what their offsets are
  // relative to on.
  std::span<const uint8_t> funcdata_;
  uint64_t funcdata_address_ = 0;
  uint64_t names_ = 0;  // offsets of the parts of the table
  uint64_t units_ = 0;
  uint64_t files_ = 0;
  uint64_t programs_ = 0;
  uint64_t functions_ = 0;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_GO_PCLNTAB_H_
