// Sample, Mapping, process events: what the decoder makes of kernel events.
//
// Plain structs, no I/O, no invariants.
// Thread: values; a Sample is moved from stage to stage.
#ifndef DAEMON_MODEL_SAMPLE_H_
#define DAEMON_MODEL_SAMPLE_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "bpf/abi.h"
#include "daemon/base/clock.h"
#include "daemon/model/frame.h"
#include "daemon/model/ids.h"
#include "daemon/model/profile_kind.h"

namespace pprofd {

enum class UnwindResult : uint8_t {
  kNone = PPROFD_UNWIND_NONE,
  kComplete = PPROFD_UNWIND_COMPLETE,
  kMixed = PPROFD_UNWIND_MIXED,
  kTruncated = PPROFD_UNWIND_TRUNCATED,
};

// One executable mapping [start, limit) of a process.
struct Mapping {
  VirtualAddr start;
  VirtualAddr limit;
  FileOffset offset;  // of start
  ModuleId module = ModuleId::kNone;
  bool operator==(const Mapping&) const = default;
};

// A user stack that the kernel half could not finish: registers and stack
// bytes, to be unwound in userspace.
struct RawStack {
  std::array<uint64_t, PPROFD_REGISTERS> registers{};  // DWARF order, [16]=rip
  std::vector<uint8_t> bytes;                          // from rsp upwards
};

// 16 bytes of a thread's name, NUL-padded.
using Comm = std::array<char, PPROFD_COMM_BYTES>;
inline std::string ToString(const Comm& comm) {
  return std::string(comm.data(), strnlen(comm.data(), comm.size()));
}

struct Sample {
  ProfileKind kind = ProfileKind::kCpu;
  BootTime time;
  ProcessKey process;
  int32_t tid = 0;
  uint32_t cpu = 0;
  bool is_capture = false;  // by the event of a capture, else always on
  int64_t count = 1;        // samples or faults this stands for
  int64_t value = 0;        // what this stands for: CPU time in ns, bytes
  uint32_t tracking = 0;    // heap: its number
  int64_t period = 0;       // heap: mean bytes between samples
  VirtualAddr address;      // heap: of the block
  uint64_t cgroup_id = 0;
  uint32_t flags = 0;  // PPROFD_SAMPLE_*
  Comm comm{};         // of the thread
  UnwindResult result = UnwindResult::kNone;
  uint32_t reason = 0;  // number of bpf/drop_reasons.def when truncated
  ModuleId reason_module = ModuleId::kNone;
  // Leaf first: kernel frames, then user frames, then, when the user half is
  // truncated, one reason frame at the root.
  std::vector<Frame> stack;
  uint32_t kernel_frame_count = 0;  // of `stack`, at its leaf side
  // Mappings met while unwinding.
  std::vector<Mapping> mappings;
  // Not empty: the user half of `stack` waits to be replaced.
  std::vector<RawStack> raw;  // 0 or 1
};

struct NewModuleEvent {
  BootTime time;
  pprofd_file_key key{};
  ModuleId module = ModuleId::kNone;
  ProcessKey process;
  VirtualAddr map_start;
  VirtualAddr map_limit;
  FileOffset offset;
  std::string path;  // inside its file system; may lack its root side
};

// A sampled block was freed.
struct FreeEvent {
  BootTime time;
  int32_t pid = 0;
  uint32_t tracking = 0;
  VirtualAddr address;
  BootTime alloc_time;  // of its sample
};

struct ExecEvent {
  BootTime time;
  ProcessKey process;
  Comm comm{};
  std::string filename;
};

struct ExitEvent {
  BootTime time;
  ProcessKey process;
  Comm comm{};
  int64_t cpu_time_ns = 0;
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_SAMPLE_H_
