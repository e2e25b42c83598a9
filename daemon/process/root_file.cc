#include "daemon/process/root_file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace pprofd {

Result<UniqueFd> OpenPathInRoot(int root, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(
      syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how))));
  if (!fd) return Status::FromErrno(errno, path);
  return fd;
}

Result<UniqueFd> ReopenForReading(const UniqueFd& path_fd) {
  struct stat info;
  if (fstat(path_fd.get(), &info) != 0)
    return Status::FromErrno(errno, "fstat");
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kInvalid, "not a regular file");
  }
  std::string self_path = "/proc/self/fd/" + std::to_string(path_fd.get());
  UniqueFd file(
      open(self_path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!file) return Status::FromErrno(errno, "open for reading");
  return file;
}

}  // namespace pprofd
