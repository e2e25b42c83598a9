// JitDump: functions, files and lines from a jitdump, a binary file that a
// runtime appends to as it compiles (V8, the JVM with an agent, .NET,
// wasmtime).
//
// The file grows while the process runs, so only what is new is read. It has
// every version of every function, with timestamps; samples are named by what
// the file says last of an address: code whose memory was used again before a
// profile is rendered has the name of its successor. Machine code and unwind
// rows in the file are skipped.
// V8 names are taken apart (see v8_name.h), and its line entries, which lie 64
// bytes too high for the sake of another tool, put right.
// Owns: a JitCodeMap. Borrows: the file, for each call.
// Thread: one owner.
// Bound: JitCodeMap::kMaxBytes; kMaxReadBytes and kMaxRecords per call, the
//   rest comes with the next one; kMaxLineBytes of a record of lines,
//   kMaxNameBytes of a name. Report() tells what was left out.
// Fails: Invalid: no jitdump, or one of another version or byte order. Corrupt:
//   a record that does not let find the next one; what was before it stays.
#ifndef SYMBOLIZER_JIT_DUMP_H_
#define SYMBOLIZER_JIT_DUMP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/base/status.h"
#include "symbolizer/jit_code_map.h"

namespace pprofd {

class JitDump {
 public:
  static constexpr size_t kMaxNameBytes = 1024;
  static constexpr size_t kMaxLineBytes = 1 << 20;
  static constexpr uint64_t kMaxReadBytes = 128 << 20;
  static constexpr uint64_t kMaxRecords = 1 << 20;

  // Takes what was appended to the regular file `fd` since the last call.
  // Starts again from nothing when it is another file, or was written anew.
  Status Update(int fd);

  std::optional<JitCodeMap::Place> Find(uint64_t address) const {
    return code_.Find(address);
  }

  size_t function_count() const { return code_.function_count(); }
  size_t bytes() const { return code_.bytes() + lines_record_.capacity(); }
  // "jitdump: 12 functions, 3 with lines", and what is missing.
  std::vector<std::string> Report() const;

 private:
  static constexpr size_t kHeaderBytes = 40;
  using Header = std::array<uint8_t, kHeaderBytes>;
  class Window;
  struct Record {
    uint32_t type = 0;
    uint32_t size = 0;
    uint64_t offset = 0;
  };

  Status Start(const Header& header);
  Status ReadRecords(Window& window);
  // Each is false when the record makes no sense.
  bool ReadRecord(Window& window, const Record& record);
  bool ReadLoad(Window& window, const Record& record);
  bool ReadMove(Window& window, const Record& record);
  bool ReadLines(Window& window, const Record& record);
  std::vector<JitCodeMap::Line> LinesOf(uint64_t start, uint64_t size,
                                        std::string_view name) const;

  Header header_{};
  uint64_t offset_ = 0;  // of the next record; 0: not started
  uint64_t file_size_ = 0;
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
  Status problem_;  // for good
  bool is_v8_ = false;
  // Lines come before the function that they belong to.
  std::vector<uint8_t> lines_record_;
  JitCodeMap code_;
  uint64_t malformed_ = 0;  // records skipped
  uint64_t cut_ = 0;        // records of lines too long to be read whole
};

}  // namespace pprofd

#endif  // SYMBOLIZER_JIT_DUMP_H_
