// PprofEncoder: a Profile as the bytes that pprof tools read.
//
// Thread: pure functions.
// Fails: Corrupt when the profile breaks a rule that readers check; nothing
//   invalid leaves pprofd. Exhausted when it exceeds what protobuf can carry.
#ifndef DAEMON_PROFILE_PPROF_ENCODER_H_
#define DAEMON_PROFILE_PPROF_ENCODER_H_

#include <string>

#include "daemon/base/status.h"
#include "daemon/model/profile.h"

namespace pprofd {

// Indexes, counts, addresses and texts are as every reader wants them.
Status CheckValid(const Profile& profile);

// Checked and serialized, not compressed.
Result<std::string> SerializePprof(const Profile& profile);

// One gzip member around SerializePprof().
Result<std::string> EncodePprof(const Profile& profile);

}  // namespace pprofd

#endif  // DAEMON_PROFILE_PPROF_ENCODER_H_
