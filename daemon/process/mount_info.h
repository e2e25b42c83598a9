// MountInfo: where a file system is mounted, from /proc/self/mountinfo.
//
// The kernel half names a file by its path inside its file system; when the
// process that mapped it is gone, this leads from there to a path of ours.
// Thread: pure.
// Bound: kMaxMountCandidates paths.
#ifndef DAEMON_PROCESS_MOUNT_INFO_H_
#define DAEMON_PROCESS_MOUNT_INFO_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pprofd {

inline constexpr size_t kMaxMountCandidates = 16;

// The paths under which a file of the file system `major`:`minor` may be seen,
// given its path from that file system's root; in the order of the text.
std::vector<std::string> PathsOnHost(std::string_view mountinfo, uint32_t major,
                                     uint32_t minor,
                                     std::string_view path_in_file_system);

}  // namespace pprofd

#endif  // DAEMON_PROCESS_MOUNT_INFO_H_
