// RegisterState: the registers of one frame and the step to its caller's.
//
// Memory is the copied stack and nothing else.
// Borrows: the copied stack.
// Thread: one.
#ifndef DAEMON_UNWIND_REGISTER_STATE_H_
#define DAEMON_UNWIND_REGISTER_STATE_H_

#include <array>
#include <cstdint>
#include <optional>

#include "daemon/model/sample.h"
#include "daemon/unwind/cfi_index.h"

namespace pprofd {

enum class StepResult {
  kCaller,  // the registers are the caller's now
  kRoot,
  kNotUnderstood,
  kOutsideStack,  // memory that was not copied
  kStackOrder,    // the caller's frame would lie below
  kBadFramePointer,
};

class RegisterState {
 public:
  explicit RegisterState(const RawStack& raw);

  uint64_t pc() const { return *values_[kRegisterRip]; }

  StepResult StepByRow(const CodeInfo& code);
  StepResult StepByKernelSignalFrame();
  StepResult StepByFramePointer();

 private:
  using Values = std::array<std::optional<uint64_t>, PPROFD_REGISTERS>;

  std::optional<uint64_t> ReadRegister(uint64_t reg) const;
  std::optional<uint64_t> ReadMemory(uint64_t address, unsigned bytes) const;
  std::optional<uint64_t> Evaluate(const CfiSection& section, int32_t position,
                                   std::optional<uint64_t> first) const;
  std::optional<uint64_t> FindCfa(const CodeInfo& code) const;
  std::optional<uint64_t> FindRegister(const CodeInfo& code, size_t reg,
                                       uint64_t cfa) const;

  const RawStack& raw_;
  const uint64_t stack_start_;
  Values values_;  // none: lost on the way
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_REGISTER_STATE_H_
