#include "symbolizer/demangle_budget.h"

#include <llvm/Demangle/ItaniumDemangle.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace pprofd {
namespace {

using llvm::itanium_demangle::Node;
using llvm::itanium_demangle::NodeArray;
using llvm::itanium_demangle::ParameterPack;
using llvm::itanium_demangle::ParameterPackExpansion;

constexpr uint64_t kMaxPrintedBytes = 256 << 10;
constexpr uint64_t kNodeBytes = 16;  // of punctuation and keywords

// Hands out nodes with their printed size in front of them.
class SizingAllocator {
 public:
  void reset() {
    blocks_.clear();
    pack_length_ = 1;
  }

  template <typename T, typename... Args>
  T* makeNode(Args&&... args) {
    uint64_t size = kNodeBytes;
    ((size += SizeOf(args)), ...);
    if constexpr (std::is_same_v<T, ParameterPackExpansion>) {
      size *= pack_length_;  // its pattern is printed for each element
    }
    if constexpr (std::is_same_v<T, ParameterPack>) {
      ((pack_length_ = std::max(pack_length_, LengthOf(args))), ...);
    }
    std::byte* memory = Allocate(sizeof(Header) + sizeof(T));
    auto* header = new (memory) Header{std::min(size, kMaxPrintedBytes + 1)};
    return new (header + 1) T(std::forward<Args>(args)...);
  }
  void* allocateNodeArray(size_t count) {
    return Allocate(sizeof(Node*) * std::max<size_t>(count, 1));
  }

  static uint64_t SizeOf(const Node* node) {
    if (node == nullptr) return 0;
    return (reinterpret_cast<const Header*>(node) - 1)->printed_bytes;
  }

 private:
  struct alignas(std::max_align_t) Header {
    uint64_t printed_bytes;
  };

  static uint64_t SizeOf(std::string_view text) { return text.size(); }
  static uint64_t SizeOf(const NodeArray& nodes) {
    uint64_t size = 0;
    for (const Node* node : nodes) size += SizeOf(node);
    return size;
  }
  template <typename T>
  static uint64_t SizeOf(const T& value) {
    if constexpr (std::is_convertible_v<T, const Node*>) {
      return SizeOf(static_cast<const Node*>(value));
    } else if constexpr (std::is_convertible_v<T, std::string_view>) {
      return SizeOf(std::string_view(value));
    } else {
      return 0;
    }
  }
  template <typename T>
  static uint64_t LengthOf(const T& value) {
    if constexpr (std::is_convertible_v<T, NodeArray>) {
      return NodeArray(value).size();
    } else {
      return 1;
    }
  }

  std::byte* Allocate(size_t size) {
    blocks_.push_back(std::make_unique<std::byte[]>(size));
    return blocks_.back().get();
  }

  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  uint64_t pack_length_ = 1;
};

}  // namespace

bool IsWithinDemangleBudget(std::string_view mangled) {
  llvm::itanium_demangle::ManglingParser<SizingAllocator> parser(
      mangled.data(), mangled.data() + mangled.size());
  const Node* root = parser.parse();
  return root != nullptr && SizingAllocator::SizeOf(root) <= kMaxPrintedBytes;
}

}  // namespace pprofd
