#include "daemon/aggregate/stack_table.h"

#include <algorithm>

namespace pprofd {
namespace {

constexpr size_t kFirstNodes = 192;
constexpr size_t kNodeBytes = sizeof(Frame) + sizeof(uint32_t);

uint64_t Mix(uint32_t parent, Frame frame) {
  uint64_t hash = (frame.bits() ^ (uint64_t{parent} << 32 | parent)) *
                  0x9e3779b97f4a7c15ULL;
  hash ^= hash >> 32;
  hash *= 0xd6e8feb86659fd93ULL;
  return hash ^ hash >> 29;
}

}  // namespace

size_t StackTable::bytes() const {
  return frames_.capacity() * sizeof(Frame) +
         (parents_.capacity() + slots_.capacity()) * sizeof(uint32_t);
}

std::optional<uint32_t> StackTable::Intern(std::span<const Frame> leaf_first) {
  uint32_t stack = kEmpty;
  for (size_t i = leaf_first.size(); i-- > 0;) {
    std::optional<uint32_t> callee = InternCallee(stack, leaf_first[i]);
    if (!callee) return std::nullopt;
    stack = *callee;
  }
  return stack;
}

std::optional<uint32_t> StackTable::InternCallee(uint32_t parent, Frame frame) {
  if (!slots_.empty()) {
    uint32_t node = slots_[FindSlot(parent, frame)];
    if (node != 0) return node - 1;
  }
  if (!MakeRoom()) return std::nullopt;
  frames_.push_back(frame);
  parents_.push_back(parent);
  slots_[FindSlot(parent, frame)] = static_cast<uint32_t>(frames_.size());
  return static_cast<uint32_t>(frames_.size() - 1);
}

std::vector<Frame> StackTable::Frames(uint32_t stack) const {
  std::vector<Frame> frames;
  for (; stack != kEmpty; stack = parents_[stack]) {
    frames.push_back(frames_[stack]);
  }
  return frames;
}

void StackTable::Seal() {
  frames_.shrink_to_fit();
  parents_.shrink_to_fit();
  slots_ = std::vector<uint32_t>();
}

// Nodes fill at most 3/4 of the slots; both grow together.
bool StackTable::MakeRoom() {
  if (frames_.size() < frames_.capacity() &&
      frames_.size() < slots_.size() / 4 * 3) {
    return true;
  }
  size_t nodes = std::max(frames_.size() * 2, kFirstNodes);
  size_t slots = std::max<size_t>(slots_.size() * 2, kFirstNodes / 3 * 4);
  if (nodes * kNodeBytes + slots * sizeof(uint32_t) > max_bytes_ ||
      nodes >= kEmpty) {
    return false;
  }
  frames_.reserve(nodes);
  parents_.reserve(nodes);
  Rehash(slots);
  return true;
}

void StackTable::Rehash(size_t slot_count) {
  slots_.assign(slot_count, 0);
  for (size_t node = 0; node < frames_.size(); ++node) {
    slots_[FindSlot(parents_[node], frames_[node])] =
        static_cast<uint32_t>(node + 1);
  }
}

// The slot of this node, or the free one where it belongs.
size_t StackTable::FindSlot(uint32_t parent, Frame frame) const {
  size_t mask = slots_.size() - 1;
  size_t slot = Mix(parent, frame) & mask;
  while (slots_[slot] != 0) {
    uint32_t node = slots_[slot] - 1;
    if (frames_[node] == frame && parents_[node] == parent) break;
    slot = (slot + 1) & mask;
  }
  return slot;
}

}  // namespace pprofd
