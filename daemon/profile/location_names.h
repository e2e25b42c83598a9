// LocationNames: function names for locations, asked for in batches.
//
// One question per module, the most sampled module first, so that a deadline
// costs the names that matter least.
// Owns: the answers. Borrows: nothing after the call.
// Thread: one thread.
// Fails: never; what has no name has an empty chain.
#ifndef DAEMON_PROFILE_LOCATION_NAMES_H_
#define DAEMON_PROFILE_LOCATION_NAMES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "daemon/profile/location_table.h"
#include "daemon/profile/profile_sources.h"

namespace pprofd {

struct LocationNames {
  // What the sources of a mapping's names can give.
  struct Abilities {
    bool has_filenames = false;
    bool has_line_numbers = false;
    bool has_inline_frames = false;
  };
  std::vector<SymbolChain> chains;   // by location
  std::vector<Abilities> abilities;  // by mapping of the AddressSpace
  size_t unresolved = 0;             // locations of code without a name
  // Names that could have been there: "<file>: <why not>".
  static constexpr size_t kMaxProblems = 16;
  std::vector<std::string> problems;
  size_t problems_left_out = 0;
};

LocationNames NameLocations(const LocationTable& table, AddressSpace& space,
                            SymbolSource& symbols, DemangleStyle style,
                            SymbolSource::Deadline deadline);

}  // namespace pprofd

#endif  // DAEMON_PROFILE_LOCATION_NAMES_H_
