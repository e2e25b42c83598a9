// GrowthTextEncoder: where memory grew, as the text of
// /debug/pprof/rss?debug=1.
//
// Go has no such profile, but the tools know the form: it is what gperftools
// calls a growth profile, and what pprof reads as objects and bytes.
// Thread: pure function.
#ifndef DAEMON_PROFILE_GROWTH_TEXT_ENCODER_H_
#define DAEMON_PROFILE_GROWTH_TEXT_ENCODER_H_

#include <string>
#include <string_view>

#include "daemon/model/profile.h"

namespace pprofd {

// REQUIRES: two values a sample, a count and bytes. Comments of the profile
// stand below the records. `executable_maps`: lines of /proc/PID/maps.
std::string EncodeGrowthText(const Profile& profile,
                             std::string_view executable_maps);

}  // namespace pprofd

#endif  // DAEMON_PROFILE_GROWTH_TEXT_ENCODER_H_
