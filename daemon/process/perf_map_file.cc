#include "daemon/process/perf_map_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/process/root_file.h"

namespace pprofd {

Result<UniqueFd> OpenPerfMapFile(const ProcessKey& key,
                                 const std::string& proc_root) {
  ASSIGN_OR_RETURN(ProcessDir process, ProcessDir::Open(proc_root, key));
  ASSIGN_OR_RETURN(ProcessStatus status, process.ReadStatus());
  int32_t pid = status.namespace_pid != 0 ? status.namespace_pid : key.pid;
  ASSIGN_OR_RETURN(UniqueFd root, process.OpenAt("root", O_PATH | O_DIRECTORY));
  std::string path = "/tmp/perf-" + std::to_string(pid) + ".map";
  ASSIGN_OR_RETURN(UniqueFd found, OpenPathInRoot(root.get(), path));
  struct stat info;
  if (fstat(found.get(), &info) != 0) return Status::FromErrno(errno, path);
  if (info.st_uid != 0 && info.st_uid != status.uid) {
    return Status(StatusCode::kDenied, path + " belongs to another user");
  }
  return ReopenForReading(found);
}

}  // namespace pprofd
