// Frame: one unsymbolized entry of a stack, in 8 bytes (layout: bpf/abi.h).
//
// A file frame is a module and a file offset, so it stays valid after the
// process, or the mapping, is gone. It says whether it is a return address; the
// one place that subtracts for it is profile/profile_builder.
// Thread: value.
#ifndef DAEMON_MODEL_FRAME_H_
#define DAEMON_MODEL_FRAME_H_

#include <compare>
#include <cstdint>
#include <string>

#include "daemon/model/ids.h"

namespace pprofd {

enum class FrameKind : uint8_t {
  kInvalid = 0,
  kFile = PPROFD_FRAME_FILE,        // module() and offset()
  kAddress = PPROFD_FRAME_ADDRESS,  // address(): code without a file (JIT)
  kKernel = PPROFD_FRAME_KERNEL,    // kernel_address()
  kReason = PPROFD_FRAME_REASON,    // reason() and module(): why the stack ends
};

class Frame {
 public:
  constexpr Frame() = default;
  // `bits` as in the event; the decoder has checked its kind.
  constexpr explicit Frame(uint64_t bits) : bits_(bits) {}

  static constexpr Frame File(ModuleId module, FileOffset offset,
                              bool is_return_address) {
    return Frame(PPROFD_FRAME_FILE << PPROFD_FRAME_KIND_SHIFT |
                 (is_return_address ? PPROFD_FRAME_RETURN_BIT : 0) |
                 (static_cast<uint64_t>(module) & PPROFD_FRAME_MODULE_MASK)
                     << PPROFD_FRAME_MODULE_SHIFT |
                 (offset.value & PPROFD_FRAME_OFFSET_MASK));
  }
  static constexpr Frame Address(VirtualAddr address, bool is_return_address) {
    return Frame(PPROFD_FRAME_ADDRESS << PPROFD_FRAME_KIND_SHIFT |
                 (is_return_address ? PPROFD_FRAME_RETURN_BIT : 0) |
                 (address.value & PPROFD_FRAME_ADDRESS_MASK));
  }
  static constexpr Frame Kernel(uint64_t address, bool is_return_address) {
    return Frame(PPROFD_FRAME_KERNEL << PPROFD_FRAME_KIND_SHIFT |
                 (is_return_address ? PPROFD_FRAME_RETURN_BIT : 0) |
                 (address & PPROFD_FRAME_ADDRESS_MASK));
  }
  // `reason` is a number of bpf/drop_reasons.def.
  static constexpr Frame Reason(uint32_t reason, ModuleId module) {
    return Frame(PPROFD_FRAME_REASON << PPROFD_FRAME_KIND_SHIFT |
                 (static_cast<uint64_t>(module) & PPROFD_FRAME_MODULE_MASK)
                     << PPROFD_FRAME_MODULE_SHIFT |
                 (reason & PPROFD_FRAME_OFFSET_MASK));
  }

  constexpr uint64_t bits() const { return bits_; }
  constexpr FrameKind kind() const {
    return static_cast<FrameKind>(bits_ >> PPROFD_FRAME_KIND_SHIFT);
  }
  constexpr bool is_return_address() const {
    return (bits_ & PPROFD_FRAME_RETURN_BIT) != 0;
  }
  constexpr ModuleId module() const {
    return static_cast<ModuleId>(bits_ >> PPROFD_FRAME_MODULE_SHIFT &
                                 PPROFD_FRAME_MODULE_MASK);
  }
  constexpr FileOffset offset() const {
    return {bits_ & PPROFD_FRAME_OFFSET_MASK};
  }
  constexpr VirtualAddr address() const {
    return {bits_ & PPROFD_FRAME_ADDRESS_MASK};
  }
  constexpr uint64_t kernel_address() const {
    return (bits_ & PPROFD_FRAME_ADDRESS_MASK) | ~PPROFD_FRAME_ADDRESS_MASK;
  }
  constexpr uint32_t reason() const {
    return static_cast<uint32_t>(bits_ & 0xffffffff);
  }

  constexpr auto operator<=>(const Frame&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const Frame& frame) {
    return H::combine(std::move(h), frame.bits_);
  }

 private:
  uint64_t bits_ = 0;
};

// "no unwind rows" for a reason number; "unknown reason" for others.
const char* ReasonText(uint32_t reason);

}  // namespace pprofd

#endif  // DAEMON_MODEL_FRAME_H_
