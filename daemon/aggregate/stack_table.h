// StackTable: stacks interned as (parent, frame) nodes.
//
// A stack is added from its root, so that stacks share the nodes of their
// common callers, and is named by the node of its leaf; walking the parents
// yields it leaf first. 12 bytes a node, and 5 to 11 of hash index, which
// Seal() gives back.
// Owns: its nodes. Borrows: nothing.
// Thread: one writer; any number of readers once sealed.
// Bound: max_bytes; then Intern() answers nothing and the caller counts.
#ifndef DAEMON_AGGREGATE_STACK_TABLE_H_
#define DAEMON_AGGREGATE_STACK_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "daemon/model/frame.h"

namespace pprofd {

class StackTable {
 public:
  // The empty stack, and the parent of every root.
  static constexpr uint32_t kEmpty = UINT32_MAX;

  explicit StackTable(size_t max_bytes) : max_bytes_(max_bytes) {}

  // The stack's number; none when there is no room for it.
  std::optional<uint32_t> Intern(std::span<const Frame> leaf_first);
  // The stack `parent` with `frame` called from its leaf.
  std::optional<uint32_t> InternCallee(uint32_t parent, Frame frame);

  // REQUIRES: stack < size().
  Frame frame(uint32_t stack) const { return frames_[stack]; }
  uint32_t parent(uint32_t stack) const { return parents_[stack]; }
  // The frames of a stack, leaf first.
  std::vector<Frame> Frames(uint32_t stack) const;

  size_t size() const { return frames_.size(); }
  size_t bytes() const;

  // Nothing is interned any more; gives back what only interning needs.
  void Seal();

 private:
  bool MakeRoom();
  void Rehash(size_t slot_count);
  size_t FindSlot(uint32_t parent, Frame frame) const;

  const size_t max_bytes_;
  std::vector<Frame> frames_;
  std::vector<uint32_t> parents_;
  // Open addressing, a power of two of slots: node + 1, 0 = free.
  std::vector<uint32_t> slots_;
};

}  // namespace pprofd

#endif  // DAEMON_AGGREGATE_STACK_TABLE_H_
