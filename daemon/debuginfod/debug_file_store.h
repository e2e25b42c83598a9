// DebugFileStore: a folder of debug files by build ID, bounded.
//
// Files are named BUILD-ID.debug; their time of modification is that of their
// last use, so that the order outlives a restart. What else is in the folder is
// left alone.
// Owns: the folder's content of that name. Thread: one at a time.
// Bound: max_bytes and kMaxFiles; the file not used for the longest time goes.
// Fails: Denied when others may write to the folder; Io.
#ifndef DAEMON_DEBUGINFOD_DEBUG_FILE_STORE_H_
#define DAEMON_DEBUGINFOD_DEBUG_FILE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"

namespace pprofd {

class DebugFileStore {
 public:
  static constexpr size_t kMaxFiles = 4096;

  // Makes the folder, for its owner only, if there is none.
  static Result<DebugFileStore> Open(std::string folder, uint64_t max_bytes);

  const std::string& folder() const { return folder_; }
  uint64_t bytes() const { return bytes_; }
  std::string PathOf(const BuildId& build_id) const;

  // For reading; null when it is not here.
  UniqueFd Find(const BuildId& build_id);

  // Moves the file at `path`, on the same file system, in; returns its size.
  // Exhausted: larger than max_bytes.
  Result<uint64_t> Adopt(const BuildId& build_id, const std::string& path);

 private:
  struct File {
    uint64_t bytes = 0;
    uint64_t last_use = 0;
  };

  DebugFileStore(std::string folder, uint64_t max_bytes, UniqueFd handle)
      : folder_(std::move(folder)),
        max_bytes_(max_bytes),
        handle_(std::move(handle)) {}

  Status ReadFolder();
  void Forget(const std::string& name);
  void Trim();

  std::string folder_;
  uint64_t max_bytes_;
  UniqueFd handle_;
  absl::flat_hash_map<std::string, File> files_;  // by name
  uint64_t bytes_ = 0;
  uint64_t uses_ = 0;
};

}  // namespace pprofd

#endif  // DAEMON_DEBUGINFOD_DEBUG_FILE_STORE_H_
