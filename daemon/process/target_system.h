// TargetSystem: which distribution a process sees, from os-release below its
// root.
//
// The file is the target's word: opened without leaving its root, a regular
// file only, read up to a bound.
// Thread: free functions. Does I/O.
// Bound: kMaxOsReleaseBytes of the file, 256 bytes of each value.
// Fails: never; what cannot be told is kOther, and `problem` says why.
#ifndef DAEMON_PROCESS_TARGET_SYSTEM_H_
#define DAEMON_PROCESS_TARGET_SYSTEM_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "daemon/base/status.h"

namespace pprofd {

inline constexpr size_t kMaxOsReleaseBytes = 64 << 10;

struct TargetSystem {
  // By how its packages of debug information are installed.
  enum class Family { kOther, kDebian, kFedora, kSuse };
  Family family = Family::kOther;
  std::string name;     // "Debian GNU/Linux 12 (bookworm)"; "" unknown
  std::string problem;  // why nothing is known; "" = the file was read
};

// Pure: the text of an os-release file.
TargetSystem ParseOsRelease(std::string_view text);

// `root` is a descriptor of the root directory, borrowed.
TargetSystem ReadTargetSystem(int root);

// A regular file below `root`, at most `max_bytes` of it.
Result<std::string> ReadFileInRoot(int root, const std::string& path,
                                   size_t max_bytes);

}  // namespace pprofd

#endif  // DAEMON_PROCESS_TARGET_SYSTEM_H_
