// Collection: what is collected of each kind that is always on.
//
// Thread: values, made before the first query.
#ifndef DAEMON_PIPELINE_COLLECTION_H_
#define DAEMON_PIPELINE_COLLECTION_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "daemon/model/profile_kind.h"

namespace pprofd {

struct Collection {
  int64_t period = 0;  // in the unit of the kind's period type
  std::string how;     // "perf cpu-clock 19 Hz"
  // What the numbers do not tell; lines of comment.
  std::vector<std::string> limits;
  std::string problem;  // why nothing is; "" = it is
};

// By kind; empty for those that are not always on.
using Collections = std::array<Collection, kProfileKinds>;

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_COLLECTION_H_
