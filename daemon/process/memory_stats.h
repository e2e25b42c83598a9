// ReadMemoryStats, ReadExecutableMaps: what /proc says of a process's memory.
//
// A stack is where a thread's stack pointer is; the kernel tells it of threads
// that wait, not of those that run, whose stacks count as heap. Texts are
// hostile input: read as streams, one line at a time.
// Thread: functions free of state; a SmapsParser belongs to one thread.
// Bound: kMaxSmapsMappings mappings, kMaxMemoryLines lines, kMaxStackThreads
//   threads and kMaxMapTextBytes of text; what is beyond is left out. Lines
//   longer than kMaxMemoryLineBytes are skipped.
// Fails: as ProcessDir does.
#ifndef DAEMON_PROCESS_MEMORY_STATS_H_
#define DAEMON_PROCESS_MEMORY_STATS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/model/memory_stats.h"
#include "daemon/process/proc_files.h"

namespace pprofd {

inline constexpr size_t kMaxSmapsMappings = 65'536;
inline constexpr size_t kMaxMemoryLineBytes = 32 << 10;
inline constexpr uint64_t kMaxMemoryLines = 4 << 20;
inline constexpr size_t kMaxStackThreads = 4'096;
inline constexpr size_t kMaxMapTextBytes = 8 << 20;

Result<MemoryStats> ReadMemoryStats(const ProcessDir& process);

// The executable lines of /proc/PID/maps as they are.
Result<std::string> ReadExecutableMaps(const ProcessDir& process);

// What follows is pure.

// Sums over the mappings in /proc/PID/smaps, in bytes.
struct SmapsSums {
  uint64_t heap_sys = 0;
  uint64_t heap_inuse = 0;
  uint64_t stack_sys = 0;
  uint64_t stack_inuse = 0;
  size_t mapping_count = 0;
  bool is_cut = false;
};

class SmapsParser {
 public:
  // Where the stacks of the process are, in any order.
  explicit SmapsParser(std::vector<uint64_t> stack_pointers);

  void FeedLine(std::string_view line);
  const SmapsSums& sums() const { return sums_; }

 private:
  enum class Kind { kOther, kHeap, kStack };
  bool StartMapping(std::string_view line);
  Kind KindOf(uint64_t start, uint64_t limit, std::string_view permissions,
              std::string_view path) const;

  std::vector<uint64_t> stack_pointers_;  // ascending
  SmapsSums sums_;
  Kind kind_ = Kind::kOther;  // of the mapping whose lines come now
  uint64_t line_count_ = 0;
};

SmapsSums ParseSmaps(std::string_view text,
                     std::vector<uint64_t> stack_pointers);

// The figures of these names in a text of lines "Name:   12 kB" or "Name: 12",
// in the order of `names`.
std::vector<MemoryFigure> ParseFigures(std::string_view text,
                                       std::span<const std::string_view> names);

// The stack pointer in /proc/PID/task/TID/syscall; 0: the thread runs.
uint64_t ParseSyscallStackPointer(std::string_view text);

// Field `number` of a stat file, counted from 1 as in proc(5), behind the name;
// 0 when there is none.
uint64_t ParseStatField(std::string_view text, int number);

std::string ExecutableLines(std::string_view maps_text);

// Makes the figures add up, whatever changed while they were read.
void Reconcile(MemoryStats& stats);

}  // namespace pprofd

#endif  // DAEMON_PROCESS_MEMORY_STATS_H_
