#include "symbolizer/file_opener.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace pprofd {
namespace {

std::string RealPath(int fd, const std::string& root) {
  std::array<char, PATH_MAX> text;
  std::string link = "/proc/self/fd/" + std::to_string(fd);
  ssize_t size = readlink(link.c_str(), text.data(), text.size());
  if (size <= 0) return "";
  std::string path(text.data(), static_cast<size_t>(size));
  if (root != "/" && path.starts_with(root + "/")) path.erase(0, root.size());
  return path;
}

class OwnOpener : public FileOpener {
 public:
  Result<FoundFile> Open(const std::string& root,
                         const std::string& path) override {
    UniqueFd root_fd(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root_fd) return Status::FromErrno(errno, root);
    open_how how = {};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    UniqueFd handle(static_cast<int>(
        syscall(SYS_openat2, root_fd.get(), path.c_str(), &how, sizeof(how))));
    if (!handle) return Status::FromErrno(errno, path);
    struct stat info;
    if (fstat(handle.get(), &info) != 0) return Status::FromErrno(errno, path);
    if (!S_ISREG(info.st_mode)) {
      return Status(StatusCode::kInvalid, path + ": not a regular file");
    }
    std::string link = "/proc/self/fd/" + std::to_string(handle.get());
    UniqueFd file(open(link.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) return Status::FromErrno(errno, path);
    std::string real_path = RealPath(file.get(), root);
    return FoundFile{.fd = std::move(file), .real_path = std::move(real_path)};
  }
};

}  // namespace

Result<FoundFile> FileOpener::FindByBuildId(const BuildId& /*build_id*/) {
  return Status(StatusCode::kNotFound, "");
}

FileOpener& OwnFileOpener() {
  static OwnOpener opener;
  return opener;
}

}  // namespace pprofd
