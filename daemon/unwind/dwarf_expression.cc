#include "daemon/unwind/dwarf_expression.h"

#include <array>

#include "daemon/unwind/cfi_reader.h"

namespace pprofd {
namespace {

constexpr uint8_t kOpDeref = 0x06;
constexpr uint8_t kOpAnd = 0x1a;
constexpr uint8_t kOpPlus = 0x22;
constexpr uint8_t kOpPlusUconst = 0x23;
constexpr uint8_t kOpShl = 0x24;
constexpr uint8_t kOpBra = 0x28;
constexpr uint8_t kOpGe = 0x2a;
constexpr uint8_t kOpSkip = 0x2f;
constexpr uint8_t kOpLit0 = 0x30;
constexpr uint8_t kOpLit31 = 0x4f;
constexpr uint8_t kOpBreg0 = 0x70;
constexpr uint8_t kOpBreg31 = 0x8f;
constexpr uint8_t kOpBregx = 0x92;
constexpr uint8_t kOpDerefSize = 0x94;
constexpr uint8_t kOpNop = 0x96;

// The stack machine. Every step says false when it cannot go on.
class Evaluator {
 public:
  Evaluator(std::span<const uint8_t> expression,
            const ExpressionContext& context)
      : expression_(expression), reader_(expression), context_(context) {}

  std::optional<uint64_t> Run(std::optional<uint64_t> first) {
    if (first) Push(*first);
    int steps = 0;
    while (!reader_.AtEnd()) {
      if (++steps > ExpressionContext::kMaxInstructions) return std::nullopt;
      if (!Step(reader_.U8()) || !reader_.ok()) return std::nullopt;
    }
    if (size_ == 0) return std::nullopt;
    return stack_[size_ - 1];
  }

 private:
  bool Push(uint64_t value) {
    if (size_ == stack_.size()) return false;
    stack_[size_++] = value;
    return true;
  }
  bool Push(std::optional<uint64_t> value) { return value && Push(*value); }

  bool Step(uint8_t op) {
    if (op >= kOpLit0 && op <= kOpLit31) return Push(uint64_t{op} - kOpLit0);
    if (op >= kOpBreg0 && op <= kOpBreg31) return PushRegister(op - kOpBreg0);
    switch (op) {
      case kOpBregx:
        return PushRegister(reader_.Uleb());
      case kOpDeref:
        return Dereference(8);
      case kOpDerefSize:
        return Dereference(reader_.U8());
      case kOpSkip:
        return Jump(static_cast<int16_t>(reader_.U16()));
      case kOpBra: {
        auto distance = static_cast<int16_t>(reader_.U16());
        if (size_ == 0) return false;
        return stack_[--size_] == 0 || Jump(distance);
      }
      case kOpNop:
        return true;
      default:
        return PushConstant(op) || MoveStack(op) || Unary(op) || Binary(op);
    }
  }

  bool PushRegister(uint64_t reg) {
    auto offset = static_cast<uint64_t>(reader_.Sleb());
    std::optional<uint64_t> value = context_.read_register(reg);
    return value && Push(*value + offset);
  }

  bool Dereference(unsigned bytes) {
    if (size_ == 0 || bytes == 0 || bytes > 8) return false;
    auto value = context_.read_memory(stack_[--size_], bytes);
    return Push(value);
  }

  bool Jump(int64_t distance) {
    int64_t target = static_cast<int64_t>(reader_.position()) + distance;
    if (!reader_.ok() || target < 0 ||
        target > static_cast<int64_t>(expression_.size())) {
      return false;
    }
    reader_ = CfiReader(expression_, static_cast<size_t>(target));
    return true;
  }

  bool PushConstant(uint8_t op) {
    switch (op) {
      case 0x03:  // addr
      case 0x0e:  // const8u
      case 0x0f:  // const8s
        return Push(reader_.U64());
      case 0x08:
        return Push(uint64_t{reader_.U8()});
      case 0x09:
        return PushSigned(static_cast<int8_t>(reader_.U8()));
      case 0x0a:
        return Push(uint64_t{reader_.U16()});
      case 0x0b:
        return PushSigned(static_cast<int16_t>(reader_.U16()));
      case 0x0c:
        return Push(uint64_t{reader_.U32()});
      case 0x0d:
        return PushSigned(static_cast<int32_t>(reader_.U32()));
      case 0x10:
        return Push(reader_.Uleb());
      case 0x11:
        return PushSigned(reader_.Sleb());
      default:
        return false;
    }
  }
  bool PushSigned(int64_t value) { return Push(static_cast<uint64_t>(value)); }

  bool MoveStack(uint8_t op) {
    switch (op) {
      case 0x12:  // dup
        return Pick(0);
      case 0x13:  // drop
        if (size_ == 0) return false;
        --size_;
        return true;
      case 0x14:  // over
        return Pick(1);
      case 0x15:  // pick
        return Pick(reader_.U8());
      case 0x16:  // swap
        if (size_ < 2) return false;
        std::swap(stack_[size_ - 1], stack_[size_ - 2]);
        return true;
      case 0x17:  // rot
        if (size_ < 3) return false;
        std::swap(stack_[size_ - 1], stack_[size_ - 2]);
        std::swap(stack_[size_ - 2], stack_[size_ - 3]);
        return true;
      default:
        return false;
    }
  }
  bool Pick(size_t depth) {
    return depth < size_ && Push(stack_[size_ - 1 - depth]);
  }

  bool Unary(uint8_t op) {
    if (size_ == 0) return false;
    uint64_t& top = stack_[size_ - 1];
    switch (op) {
      case 0x19:  // abs
        if (static_cast<int64_t>(top) < 0) top = 0 - top;
        return true;
      case 0x1f:  // neg
        top = 0 - top;
        return true;
      case 0x20:  // not
        top = ~top;
        return true;
      case kOpPlusUconst:
        top += reader_.Uleb();
        return true;
      default:
        return false;
    }
  }

  bool Binary(uint8_t op) {
    if (size_ < 2) return false;
    std::optional<uint64_t> value =
        Combine(op, stack_[size_ - 2], stack_[size_ - 1]);
    if (!value) return false;
    stack_[--size_ - 1] = *value;
    return true;
  }

  static std::optional<uint64_t> Combine(uint8_t op, uint64_t a, uint64_t b) {
    auto signed_a = static_cast<int64_t>(a);
    auto signed_b = static_cast<int64_t>(b);
    switch (op) {
      case kOpAnd:
        return a & b;
      case 0x1b:  // div
        if (b == 0 || (signed_a == INT64_MIN && signed_b == -1)) break;
        return static_cast<uint64_t>(signed_a / signed_b);
      case 0x1c:  // minus
        return a - b;
      case 0x1d:  // mod
        if (b == 0) break;
        return a % b;
      case 0x1e:  // mul
        return a * b;
      case 0x21:  // or
        return a | b;
      case kOpPlus:
        return a + b;
      case kOpShl:
        return b < 64 ? a << b : 0;
      case 0x25:  // shr
        return b < 64 ? a >> b : 0;
      case 0x26:  // shra
        return static_cast<uint64_t>(signed_a >> (b < 64 ? b : 63));
      case 0x27:  // xor
        return a ^ b;
      case 0x29:  // eq
        return a == b;
      case kOpGe:
        return signed_a >= signed_b;
      case 0x2b:  // gt
        return signed_a > signed_b;
      case 0x2c:  // le
        return signed_a <= signed_b;
      case 0x2d:  // lt
        return signed_a < signed_b;
      case 0x2e:  // ne
        return a != b;
      default:
        break;
    }
    return std::nullopt;
  }

  std::span<const uint8_t> expression_;
  CfiReader reader_;
  const ExpressionContext& context_;
  std::array<uint64_t, ExpressionContext::kMaxStack> stack_{};
  size_t size_ = 0;
};

}  // namespace

std::span<const uint8_t> ExpressionBytes(const CfiSection& section,
                                         int32_t position) {
  if (position < 0) return {};
  CfiReader reader(section.bytes, static_cast<size_t>(position));
  return reader.Take(reader.Uleb());
}

std::optional<RegisterExpression> ParseRegisterExpression(
    std::span<const uint8_t> expression) {
  CfiReader reader(expression);
  RegisterExpression result;
  uint8_t op = reader.U8();
  if (op >= kOpBreg0 && op <= kOpBreg31) {
    result.reg = op - kOpBreg0;
  } else if (op == kOpBregx) {
    uint64_t reg = reader.Uleb();
    if (reg >= PPROFD_REGISTERS) return std::nullopt;
    result.reg = static_cast<uint8_t>(reg);
  } else {
    return std::nullopt;
  }
  result.offset = reader.Sleb();
  if (!reader.ok()) return std::nullopt;
  if (reader.AtEnd()) return result;
  result.is_deref = reader.U8() == kOpDeref;
  if (!result.is_deref || !reader.AtEnd()) return std::nullopt;
  return result;
}

std::optional<uint8_t> ParsePltExpression(std::span<const uint8_t> expression) {
  constexpr uint8_t kHead[] = {kOpBreg0 + kRegisterRsp,
                               8,
                               kOpBreg0 + kRegisterRip,
                               0,
                               kOpLit0 + 15,
                               kOpAnd};
  constexpr uint8_t kTail[] = {kOpGe, kOpLit0 + 3, kOpShl, kOpPlus};
  if (expression.size() != sizeof(kHead) + 1 + sizeof(kTail) ||
      std::memcmp(expression.data(), kHead, sizeof(kHead)) != 0 ||
      std::memcmp(expression.data() + sizeof(kHead) + 1, kTail,
                  sizeof(kTail)) != 0) {
    return std::nullopt;
  }
  uint8_t threshold = expression[sizeof(kHead)];
  if (threshold < kOpLit0 || threshold > kOpLit0 + 16) return std::nullopt;
  return threshold - kOpLit0;
}

std::optional<uint64_t> EvaluateExpression(std::span<const uint8_t> expression,
                                           std::optional<uint64_t> first,
                                           const ExpressionContext& context) {
  return Evaluator(expression, context).Run(first);
}

}  // namespace pprofd
