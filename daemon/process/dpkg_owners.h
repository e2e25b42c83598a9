// DpkgOwners: which Debian package a file of a target belongs to.
//
// One pass over the lists of files in /var/lib/dpkg/info below the target's
// root, for all files asked for. The lists are the target's word: nothing
// leaves its root, only regular files are read, and only names that can be
// names of packages are believed, since people paste them into a shell.
// Thread: free function. Does I/O.
// Bound: Limits; what lies beyond is not looked at, and is_complete is false.
// Fails: with an empty answer; `problem` says why.
#ifndef DAEMON_PROCESS_DPKG_OWNERS_H_
#define DAEMON_PROCESS_DPKG_OWNERS_H_

#include <chrono>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace pprofd {

struct DpkgLimits {
  size_t max_lists = 20'000;
  size_t max_list_bytes = 16 << 20;  // of one list; the rest of it is skipped
  size_t max_total_bytes = 256 << 20;
  std::chrono::steady_clock::time_point deadline =
      std::chrono::steady_clock::time_point::max();
};

struct DpkgOwners {
  std::map<std::string, std::string> packages;  // path -> "libc6"
  // Of -dbgsym and -dbg, those that are installed.
  std::set<std::string> debug_packages;
  bool is_complete = false;  // every list was read
  std::string problem;       // why not
};

// `root` is a descriptor of the root directory, borrowed. Paths are absolute,
// as the process sees them; a file in /usr/lib is also found as in /lib, where
// packages older than the merge of the two have it.
DpkgOwners FindDpkgOwners(int root, const std::set<std::string>& paths,
                          const DpkgLimits& limits = {});

// Of "libc6:amd64.list": "libc6"; "" when that can be no package.
std::string PackageOfList(std::string_view file_name);

}  // namespace pprofd

#endif  // DAEMON_PROCESS_DPKG_OWNERS_H_
