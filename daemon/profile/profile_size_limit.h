// Profile size limit: a whole-host profile that stores and viewers still take.
//
// Stores refuse more than 16,000 samples or 4 MiB uncompressed. Beyond that the
// heaviest stacks stay and the rest of each process becomes one sample of the
// frame "[truncated: profile size limit]", so that sums stay what they were.
// Thread: pure function.
#ifndef DAEMON_PROFILE_PROFILE_SIZE_LIMIT_H_
#define DAEMON_PROFILE_PROFILE_SIZE_LIMIT_H_

#include <cstddef>

#include "daemon/model/profile.h"

namespace pprofd {

struct SizeLimit {
  size_t max_samples = 15'999;
  size_t max_bytes = (4 << 20) - 1;  // encoded, not compressed
};

// Cuts `profile` where it goes beyond `limit`, with a comment; the number of
// samples that were folded. REQUIRES: CheckValid(profile).ok(), labels "pid"
// and "comm" on samples that belong to a process.
size_t LimitSize(Profile& profile, const SizeLimit& limit);

}  // namespace pprofd

#endif  // DAEMON_PROFILE_PROFILE_SIZE_LIMIT_H_
