// Profile comments: how true a profile is, in lines for people.
//
// Thread: pure function.
#ifndef DAEMON_PROFILE_PROFILE_COMMENTS_H_
#define DAEMON_PROFILE_PROFILE_COMMENTS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "daemon/model/aggregate.h"

namespace pprofd {

struct NamingOutcome {
  size_t locations = 0;                    // of code
  size_t unresolved = 0;                   // without a name
  bool is_late = false;                    // the deadline passed meanwhile
  std::vector<std::string> problems = {};  // see LocationNames
  size_t problems_left_out = 0;
};

std::vector<std::string> DescribeQuality(const Aggregate& aggregate,
                                         ProfileKind kind, bool is_whole_host,
                                         const NamingOutcome& naming);

}  // namespace pprofd

#endif  // DAEMON_PROFILE_PROFILE_COMMENTS_H_
