// RootFile: opening a target's files without being led astray.
//
// A path of a target is a trap until shown otherwise: resolved inside the
// target's root, held by O_PATH until it is known to be a regular file, and
// only then opened for reading, without waiting.
// Thread: free functions.
#ifndef DAEMON_PROCESS_ROOT_FILE_H_
#define DAEMON_PROCESS_ROOT_FILE_H_

#include <string>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"

namespace pprofd {

// O_PATH of `path` below the directory `root`, which neither "..", absolute
// symbolic links nor magic links can leave.
Result<UniqueFd> OpenPathInRoot(int root, const std::string& path);

// Turns an O_PATH descriptor into one to read from, if it is a regular file.
// Only now may its file system see an open(). Invalid: no regular file.
Result<UniqueFd> ReopenForReading(const UniqueFd& path_fd);

}  // namespace pprofd

#endif  // DAEMON_PROCESS_ROOT_FILE_H_
