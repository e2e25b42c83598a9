#include "daemon/unwind/stack_unwinder.h"

#include <algorithm>
#include <utility>

#include "daemon/unwind/register_state.h"

namespace pprofd {
namespace {

uint32_t ReasonOf(StepResult result, ModuleId module) {
  switch (result) {
    case StepResult::kNotUnderstood:
      return PPROFD_REASON_UNSUPPORTED_RULE;
    case StepResult::kOutsideStack:
      return PPROFD_REASON_RAW_STACK_SHORT;
    case StepResult::kStackOrder:
      return PPROFD_REASON_STACK_ORDER;
    case StepResult::kBadFramePointer:
      return module == ModuleId::kNone ? PPROFD_REASON_BAD_FRAME_POINTER
                                       : PPROFD_REASON_NO_ROWS;
    case StepResult::kCaller:
    case StepResult::kRoot:
      break;
  }
  return PPROFD_REASON_NONE;
}

void Truncate(UnwoundStack* stack, uint32_t reason, ModuleId module) {
  stack->result = UnwindResult::kTruncated;
  stack->reason = reason;
  stack->reason_module = module;
}

Frame NotReturned(Frame frame) {
  return Frame(frame.bits() & ~PPROFD_FRAME_RETURN_BIT);
}

StepResult Step(const CodeInfo& code, RegisterState* registers,
                bool* used_frame_pointer) {
  switch (code.kind) {
    case CodeKind::kRow:
      return registers->StepByRow(code);
    case CodeKind::kKernelSignal:
      return registers->StepByKernelSignalFrame();
    case CodeKind::kRoot:
      return StepResult::kRoot;
    case CodeKind::kNoInformation:
      *used_frame_pointer = true;
      return registers->StepByFramePointer();
    case CodeKind::kNotUnderstood:
      break;
  }
  return StepResult::kNotUnderstood;
}

}  // namespace

CfiIndex* StackUnwinder::FindIndex(ModuleId module,
                                   const FindModule& find_module,
                                   uint32_t* reason) {
  auto known = std::find_if(
      indexes_.begin(), indexes_.end(),
      [&](const CachedIndex& entry) { return entry.module == module; });
  if (known == indexes_.end()) {
    ModuleRef found = find_module(module);
    if (found == nullptr || !found->file) {
      *reason = PPROFD_REASON_PROCESS_GONE;
      return nullptr;
    }
    CachedIndex entry;
    entry.module = module;
    if (Result<MemoryMap> map = MapFile(found->file.get()); map.ok()) {
      auto made = CfiIndex::Make(std::move(map).value());
      if (made.ok()) entry.index = std::move(made).value();
    }
    indexes_.push_front(std::move(entry));
    DropOldest();
  } else {
    indexes_.splice(indexes_.begin(), indexes_, known);
  }
  if (indexes_.front().index == nullptr)
    *reason = PPROFD_REASON_BAD_UNWIND_DATA;
  return indexes_.front().index.get();
}

void StackUnwinder::DropOldest() {
  size_t bytes = 0;
  size_t kept = 0;
  auto entry = indexes_.begin();
  for (; entry != indexes_.end() && kept < kMaxIndexes; ++entry, ++kept) {
    if (entry->index) bytes += entry->index->bytes();
    if (bytes > kMaxBytes && kept > 0) break;
  }
  indexes_.erase(entry, indexes_.end());
}

UnwoundStack StackUnwinder::Unwind(const RawStack& raw,
                                   const FindMapping& find_mapping,
                                   const FindModule& find_module) {
  UnwoundStack stack;
  RegisterState registers(raw);
  bool is_return_address = false;
  bool used_frame_pointer = false;
  while (true) {
    uint64_t pc = registers.pc();
    VirtualAddr lookup{pc - (is_return_address ? 1 : 0)};
    std::optional<Mapping> mapping = find_mapping(lookup);
    if (!mapping) {
      Truncate(&stack, PPROFD_REASON_NO_MAPPING, ModuleId::kNone);
      return stack;
    }
    ModuleId module = mapping->module;
    if (stack.frames.size() == PPROFD_MAX_USER_FRAMES) {
      Truncate(&stack, PPROFD_REASON_FRAME_LIMIT, ModuleId::kNone);
      return stack;
    }
    CodeInfo code;
    if (module == ModuleId::kNone) {
      stack.frames.push_back(Frame::Address({pc}, is_return_address));
    } else {
      uint64_t shift = mapping->offset.value - mapping->start.value;
      stack.frames.push_back(
          Frame::File(module, {pc + shift}, is_return_address));
      uint32_t reason = PPROFD_REASON_NONE;
      CfiIndex* index = FindIndex(module, find_module, &reason);
      if (index == nullptr) {
        Truncate(&stack, reason, module);
        return stack;
      }
      code = index->Find({lookup.value + shift});
    }
    StepResult result = Step(code, &registers, &used_frame_pointer);
    bool is_root = result == StepResult::kRoot ||
                   (result == StepResult::kCaller && registers.pc() == 0);
    if (is_root) {
      stack.result =
          used_frame_pointer ? UnwindResult::kMixed : UnwindResult::kComplete;
      return stack;
    }
    if (result != StepResult::kCaller) {
      Truncate(&stack, ReasonOf(result, module), module);
      return stack;
    }
    is_return_address =
        code.kind != CodeKind::kKernelSignal && !code.is_signal_frame;
    // Nobody called a signal trampoline: its address is no return address.
    if (!is_return_address)
      stack.frames.back() = NotReturned(stack.frames.back());
  }
}

}  // namespace pprofd
