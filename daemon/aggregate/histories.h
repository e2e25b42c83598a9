// Histories: the past of every kind that is always on.
//
// A kind has a History of its own, so that one that happens often cannot push
// out another; they share the memory in the parts that the table of kinds says.
// Owns: the histories. Borrows: nothing.
// Thread: any; each History locks itself.
// Bound: those of its histories, together Options::max_bytes.
#ifndef DAEMON_AGGREGATE_HISTORIES_H_
#define DAEMON_AGGREGATE_HISTORIES_H_

#include <array>
#include <memory>
#include <vector>

#include "daemon/aggregate/history.h"
#include "daemon/model/profile_kind.h"

namespace pprofd {

class Histories {
 public:
  explicit Histories(const History::Options& options);

  // REQUIRES, for both: the kind is always on.
  History& Of(ProfileKind kind) {
    return *histories_[static_cast<size_t>(kind)];
  }
  const History& Of(ProfileKind kind) const {
    return *histories_[static_cast<size_t>(kind)];
  }

  void Advance(BootTime now);

  // Who and what any of them refers to, ascending: must be kept describable.
  std::vector<ProcessKey> Processes() const;
  std::vector<ModuleId> ModulesInUse() const;

 private:
  // By kind; null for those that are not always on.
  std::array<std::unique_ptr<History>, kProfileKinds> histories_;
};

}  // namespace pprofd

#endif  // DAEMON_AGGREGATE_HISTORIES_H_
