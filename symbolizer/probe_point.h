// ProbePoint: where to put a uprobe so that the kernel need not single-step.
//
// A uprobe replaces an instruction. The kernel emulates some (pushes, nops,
// direct jumps and calls); any other it lets the thread execute elsewhere, step
// by step, which costs two more exceptions. So the probe goes to the first
// instruction from the entry on that is emulated, is reached once per call, and
// still has the arguments at hand. Never to a nop of five bytes: newer kernels
// make it a call, which pushes into the red zone of code that has begun to use
// it, and which goes to a page that forked children do not have: they crash.
// Thread: pure.
// Bound: kMaxInstructions, kMaxBytes; kMaxSweptBytes looked at for jumps back.
// Fails: never; what is not understood is probed at its entry,
//   or behind the nop of five bytes there.
#ifndef SYMBOLIZER_PROBE_POINT_H_
#define SYMBOLIZER_PROBE_POINT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace pprofd {

struct ProbePoint {
  static constexpr size_t kMaxInstructions = 16;
  static constexpr size_t kMaxBytes = 96;
  static constexpr size_t kMaxSweptBytes = 16 << 10;

  uint64_t offset = 0;  // from the function's entry
  bool is_emulated = false;
  // Where the arguments are: DWARF numbers, at first rdi, rsi and rdx.
  std::array<uint8_t, 3> registers{5, 4, 1};
};

// `code` starts at the function's entry and ends where the function is known to
// end, or its segment. Of the arguments the first `argument_count` are needed.
ProbePoint FindProbePoint(std::span<const uint8_t> code, size_t argument_count);

// Where a function that is nothing but a direct jump goes, from its entry.
std::optional<int64_t> FindJumpAtEntry(std::span<const uint8_t> code);

}  // namespace pprofd

#endif  // SYMBOLIZER_PROBE_POINT_H_
