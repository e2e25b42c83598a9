// ParseTimeSpec: the points in time that from= and to= accept.
//
// Thread: pure function.
#ifndef DAEMON_SERVER_TIME_SPEC_H_
#define DAEMON_SERVER_TIME_SPEC_H_

#include <optional>
#include <string_view>

#include "daemon/base/clock.h"

namespace pprofd {

// - RFC 3339: 2026-01-31T12:00:00Z, 2026-01-31T12:00:00.5+02:00; since '+' in a
//   query is a blank, a blank counts as '+' before the offset;
// - Unix seconds: 1767225600, 1767225600.25;
// - before `now`: -30s, -5m, -1h, -1h30m, -2d.
// None for anything else, and for times outside the years 1970 to 2261.
std::optional<WallTime> ParseTimeSpec(std::string_view text, WallTime now);

}  // namespace pprofd

#endif  // DAEMON_SERVER_TIME_SPEC_H_
