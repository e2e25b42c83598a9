// TextRecords: what the text forms of profiles have in common.
//
// A record is numbers, the addresses of a stack and its frames as comments;
// below all records stand the executable mappings, from which pprof finds
// files. Thread: pure functions.
#ifndef DAEMON_PROFILE_TEXT_RECORDS_H_
#define DAEMON_PROFILE_TEXT_RECORDS_H_

#include <string>
#include <string_view>

#include "daemon/model/profile.h"

namespace pprofd {

// The part of a record behind its "@", up to the empty line. Names are printed
// as the profile has them.
void AppendStack(const Profile& profile, const ProfileSample& sample,
                 std::string& text);

// `executable_maps`: lines of /proc/PID/maps.
void AppendMemoryMap(std::string_view executable_maps, std::string& text);

}  // namespace pprofd

#endif  // DAEMON_PROFILE_TEXT_RECORDS_H_
