// ProfileBuilder: an aggregate of CPU samples made into a Profile with names.
//
// The one place that turns frames into addresses is AddressSpace::PlaceCode(),
// the one place that asks for names NameLocations(). Equal input gives equal
// output, down to the order of every table.
// Owns: nothing. Borrows: its three sources.
// Thread: as safe as its sources; Build() keeps no state.
// Bound: whole-host profiles stay below SizeLimit; other profiles are as big as
//   their aggregate.
// Fails: never; what is not known has no name and is counted in a comment.
#ifndef DAEMON_PROFILE_PROFILE_BUILDER_H_
#define DAEMON_PROFILE_PROFILE_BUILDER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/base/clock.h"
#include "daemon/model/aggregate.h"
#include "daemon/model/profile.h"
#include "daemon/model/profile_service.h"
#include "daemon/profile/profile_sources.h"

namespace pprofd {

// What the aggregate does not say.
struct ProfileMeta {
  WallTime start;
  int64_t duration_ns = 0;
  ProfileKind kind = ProfileKind::kCpu;
  int64_t period = 0;                 // in the unit of the kind's period type
  std::optional<ProcessKey> process;  // none = the whole host
  std::vector<std::string> comments;  // put before the builder's own
  SymbolSource::Deadline symbolize_deadline = SymbolSource::Deadline::max();
};

// What to keep apart when an aggregate is made for a profile with such labels.
AggregateFields FieldsFor(const RenderOptions& options);

class ProfileBuilder {
 public:
  ProfileBuilder(ModuleProvider& modules, ProcessSource& processes,
                 SymbolSource& symbols)
      : modules_(modules), processes_(processes), symbols_(symbols) {}

  Profile Build(const Aggregate& aggregate, const ProfileMeta& meta,
                const RenderOptions& options) const;

 private:
  ModuleProvider& modules_;
  ProcessSource& processes_;
  SymbolSource& symbols_;
};

}  // namespace pprofd

#endif  // DAEMON_PROFILE_PROFILE_BUILDER_H_
