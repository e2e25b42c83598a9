// ProcessMappings: the executable mappings of one process, now and before.
//
// Frames name a module and a file offset; a profile needs the address where
// that was mapped, even when something else is mapped there by now. So what is
// mapped now is kept apart from what was, and of each module's file range the
// latest place is remembered.
// Thread: one owner.
// Bound: kMaxCurrent mappings of now and kMaxPast of before; the oldest of the
//   past go first, more of the present is refused; Add() tells both.
#ifndef DAEMON_PROCESS_PROCESS_MAPPINGS_H_
#define DAEMON_PROCESS_PROCESS_MAPPINGS_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "daemon/model/sample.h"

namespace pprofd {

class ProcessMappings {
 public:
  static constexpr size_t kMaxCurrent = 8192;
  static constexpr size_t kMaxPast = 1024;

  // True when nothing would change by adding it: a binary search.
  bool Contains(const Mapping& mapping) const;

  // Records that `mapping` is there now. What it overlaps is of the past, but
  // overlapping parts of one file become one when they place its offsets at the
  // same addresses. False: it was left out.
  bool Add(Mapping mapping);

  // The program was replaced: all is of the past.
  void Clear();

  // The mapping of now that covers `address`.
  std::optional<Mapping> Find(VirtualAddr address) const;
  // The mapping of now that places a file's offsets as `mapping` does where
  // that starts: the same file, or one that took its place unseen.
  std::optional<Mapping> FindAlike(const Mapping& mapping) const;

  // Now and before, by start; those of before may overlap.
  std::vector<Mapping> All() const;

  const std::vector<Mapping>& current() const { return current_; }
  const std::vector<Mapping>& past() const { return past_; }
  size_t size() const { return current_.size() + past_.size(); }

 private:
  using Iterator = std::vector<Mapping>::const_iterator;

  // The first mapping of now that ends behind `address`.
  Iterator FirstEndingBehind(VirtualAddr address) const;
  void Remember(const Mapping& mapping);

  std::vector<Mapping> current_;  // by start, disjoint
  std::vector<Mapping> past_;     // oldest first, modules known
};

}  // namespace pprofd

#endif  // DAEMON_PROCESS_PROCESS_MAPPINGS_H_
