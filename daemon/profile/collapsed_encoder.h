// CollapsedEncoder: a Profile as the text that flame graph tools read.
//
// One line per stack, "root;caller;leaf 42", sorted, without a header. Kernel
// frames end in _[k], code without a file in _[j], inlined calls in _[i]; a
// place without a name is its file in brackets.
// Thread: pure function.
#ifndef DAEMON_PROFILE_COLLAPSED_ENCODER_H_
#define DAEMON_PROFILE_COLLAPSED_ENCODER_H_

#include <string>

#include "daemon/model/profile.h"
#include "daemon/model/profile_service.h"

namespace pprofd {

// Counts samples, or with options.unit_is_ns the last value. Samples labelled
// with pid and comm, as those of the whole host are, begin with their "comm",
// with the label "pid" asked for with "comm-pid".
std::string EncodeCollapsed(const Profile& profile,
                            const RenderOptions& options);

}  // namespace pprofd

#endif  // DAEMON_PROFILE_COLLAPSED_ENCODER_H_
