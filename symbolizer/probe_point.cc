#include "symbolizer/probe_point.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace pprofd {
namespace {

// By the number in instructions: rax rcx rdx rbx rsp rbp rsi rdi r8 … r15.
constexpr std::array<uint8_t, 16> kDwarfNumbers = {
    0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr unsigned kRdx = 2;
constexpr unsigned kRsp = 4;
constexpr unsigned kRsi = 6;
constexpr unsigned kRdi = 7;
constexpr uint64_t kCallBytes = 5;  // nops as long become one
constexpr std::array<uint8_t, 4> kEndbr64 = {0xf3, 0x0f, 0x1e, 0xfa};

using Operands = std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT>;

bool StartsWith(std::span<const uint8_t> code, std::span<const uint8_t> bytes) {
  return code.size() >= bytes.size() &&
         std::equal(bytes.begin(), bytes.end(), code.begin());
}

// What arch/x86/kernel/uprobes.c has emulated since 4.15, without prefixes but
// the one of `push %r8` and up.
bool IsEmulated(std::span<const uint8_t> bytes) {
  const uint8_t first = bytes[0];
  const auto is_push = [](uint8_t byte) { return (byte & 0xf8) == 0x50; };
  switch (bytes.size()) {
    case 1:
      return is_push(first) || first == 0x90;
    case 2:
      return (first == 0x41 && is_push(bytes[1])) || first == 0xeb ||
             (first & 0xf0) == 0x70;
    case 5:
      return first == 0xe8 || first == 0xe9;
    case 6:
      return first == 0x0f && (bytes[1] & 0xf0) == 0x80;
    default:
      return false;
  }
}

// Nothing but moving and reckoning: executed once, and on to the next one.
bool IsPlain(const ZydisDecodedInstruction& instruction) {
  if ((instruction.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0) return false;
  switch (instruction.meta.category) {
    case ZYDIS_CATEGORY_BINARY:
    case ZYDIS_CATEGORY_BITBYTE:
    case ZYDIS_CATEGORY_CMOV:
    case ZYDIS_CATEGORY_CONVERT:
    case ZYDIS_CATEGORY_DATAXFER:
    case ZYDIS_CATEGORY_LOGICAL:
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_SETCC:
    case ZYDIS_CATEGORY_SHIFT:
    case ZYDIS_CATEGORY_WIDENOP:
      return true;
    default:
      return instruction.mnemonic == ZYDIS_MNEMONIC_LEA ||
             instruction.mnemonic == ZYDIS_MNEMONIC_ENDBR64;
  }
}

// The general register that `reg` is part of.
std::optional<unsigned> ToNumber(ZydisRegister reg) {
  ZydisRegister whole =
      ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
  if (ZydisRegisterGetClass(whole) != ZYDIS_REGCLASS_GPR64) return std::nullopt;
  ZyanI8 number = ZydisRegisterGetId(whole);
  if (number < 0 || number >= 16) return std::nullopt;
  return static_cast<unsigned>(number);
}

// Memory that is certainly not what an argument points to.
bool IsOwnMemory(const ZydisDecodedOperandMem& memory) {
  if (memory.index != ZYDIS_REGISTER_NONE) return false;
  return memory.base == ZYDIS_REGISTER_RSP ||
         memory.base == ZYDIS_REGISTER_RIP ||
         (memory.base == ZYDIS_REGISTER_NONE &&
          memory.segment == ZYDIS_REGISTER_FS);
}

// Which registers hold each argument, a bit per register.
class ArgumentTracker {
 public:
  explicit ArgumentTracker(size_t count)
      : count_(std::min(count, holders_.size())) {}

  // False: an argument is lost, or the code does more than this follows.
  bool Pass(const ZydisDecodedInstruction& instruction,
            const Operands& operands) {
    std::array<uint16_t, 3> before = holders_;
    for (size_t i = 0; i < instruction.operand_count; ++i) {
      const ZydisDecodedOperand& operand = operands[i];
      if ((operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) == 0) continue;
      if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
          !IsOwnMemory(operand.mem)) {
        return false;
      }
      if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
      if (operand.reg.value == ZYDIS_REGISTER_RIP) return false;
      auto number = ToNumber(operand.reg.value);
      if (number == kRsp) return false;
      if (number) Forget(*number);
    }
    NoteCopy(instruction, operands, before);
    return std::all_of(holders_.begin(), holders_.begin() + count_,
                       [](uint16_t holders) { return holders != 0; });
  }

  std::array<uint8_t, 3> registers() const {
    std::array<uint8_t, 3> registers = ProbePoint().registers;
    for (size_t i = 0; i < count_; ++i) {
      if ((holders_[i] & kAtEntry[i]) != 0) continue;
      registers[i] = kDwarfNumbers[std::countr_zero(holders_[i])];
    }
    return registers;
  }

 private:
  static constexpr std::array<uint16_t, 3> kAtEntry = {1 << kRdi, 1 << kRsi,
                                                       1 << kRdx};

  void Forget(unsigned number) {
    for (uint16_t& holders : holders_) {
      holders = static_cast<uint16_t>(holders & ~(1u << number));
    }
  }

  void NoteCopy(const ZydisDecodedInstruction& instruction,
                const Operands& operands,
                const std::array<uint16_t, 3>& before) {
    if (instruction.mnemonic != ZYDIS_MNEMONIC_MOV) return;
    for (size_t i = 0; i < 2; ++i) {
      if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER ||
          operands[i].size != 64) {
        return;
      }
    }
    auto to = ToNumber(operands[0].reg.value);
    auto from = ToNumber(operands[1].reg.value);
    if (!to || !from) return;
    for (size_t i = 0; i < holders_.size(); ++i) {
      if ((before[i] >> *from & 1) == 0) continue;
      holders_[i] = static_cast<uint16_t>(holders_[i] | 1u << *to);
    }
  }

  std::array<uint16_t, 3> holders_ = kAtEntry;
  const size_t count_;
};

// True if a jump of `code` goes behind its entry, but not behind `offset`: the
// instruction there may be executed several times a call.
bool HasJumpInto(const ZydisDecoder& decoder, std::span<const uint8_t> code,
                 uint64_t offset) {
  code = code.first(std::min(code.size(), ProbePoint::kMaxSweptBytes));
  ZydisDecodedInstruction instruction;
  for (size_t at = 0; at < code.size(); at += instruction.length) {
    if (ZYAN_FAILED(
            ZydisDecoderDecodeInstruction(&decoder, nullptr, code.data() + at,
                                          code.size() - at, &instruction))) {
      return false;
    }
    if (instruction.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE ||
        instruction.meta.category == ZYDIS_CATEGORY_CALL ||
        !instruction.raw.imm[0].is_relative) {
      continue;
    }
    int64_t target = static_cast<int64_t>(at) + instruction.length +
                     instruction.raw.imm[0].value.s;
    if (target > 0 && target <= static_cast<int64_t>(offset)) return true;
  }
  return false;
}

// Goes on from the entry; nothing if it must stop before it finds one.
std::optional<ProbePoint> Walk(const ZydisDecoder& decoder,
                               std::span<const uint8_t> code,
                               size_t argument_count) {
  ArgumentTracker arguments(argument_count);
  uint64_t offset = 0;
  for (size_t i = 0; i < ProbePoint::kMaxInstructions; ++i) {
    if (offset >= std::min(code.size(), ProbePoint::kMaxBytes)) break;
    std::span<const uint8_t> rest = code.subspan(offset);
    ZydisDecodedInstruction instruction;
    Operands operands;
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, rest.data(), rest.size(),
                                           &instruction, operands.data()))) {
      break;
    }
    if (IsEmulated(rest.first(instruction.length))) {
      return ProbePoint{.offset = offset,
                        .is_emulated = true,
                        .registers = arguments.registers()};
    }
    if (!IsPlain(instruction) || !arguments.Pass(instruction, operands)) break;
    offset += instruction.length;
  }
  return std::nullopt;
}

ProbePoint AtEntry(const ZydisDecoder& decoder, std::span<const uint8_t> code) {
  ZydisDecodedInstruction first;
  bool is_read = ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
      &decoder, nullptr, code.data(), code.size(), &first));
  bool is_nop5 = is_read && first.length == kCallBytes &&
                 (first.meta.category == ZYDIS_CATEGORY_NOP ||
                  first.meta.category == ZYDIS_CATEGORY_WIDENOP);
  return {.offset = is_nop5 ? kCallBytes : uint64_t{0},
          .is_emulated = false,
          .registers = ProbePoint().registers};
}

}  // namespace

ProbePoint FindProbePoint(std::span<const uint8_t> code,
                          size_t argument_count) {
  ZydisDecoder decoder;
  if (ZYAN_FAILED(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
                                   ZYDIS_STACK_WIDTH_64))) {
    return {};
  }
  auto found = Walk(decoder, code, argument_count);
  bool is_safe = found && (found->offset == 0 ||
                           !HasJumpInto(decoder, code, found->offset));
  return is_safe ? *found : AtEntry(decoder, code);
}

std::optional<int64_t> FindJumpAtEntry(std::span<const uint8_t> code) {
  int64_t offset = 0;
  if (StartsWith(code, kEndbr64)) {
    offset = kEndbr64.size();
    code = code.subspan(kEndbr64.size());
  }
  if (code.size() >= 5 && code[0] == 0xe9) {
    int32_t distance;
    std::memcpy(&distance, code.data() + 1, sizeof(distance));
    return offset + 5 + distance;
  }
  if (code.size() >= 2 && code[0] == 0xeb) {
    return offset + 2 + static_cast<int8_t>(code[1]);
  }
  return std::nullopt;
}

}  // namespace pprofd
