#include "daemon/process/module_opener.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/base/telemetry.h"
#include "daemon/process/mount_info.h"
#include "daemon/process/root_file.h"

namespace pprofd {
namespace {

constexpr size_t kMaxMountInfoBytes = 4 << 20;
constexpr uint32_t kMinorBits = 20;  // of the kernel's own device encoding

uint32_t Major(const pprofd_file_key& key) { return key.device >> kMinorBits; }
uint32_t Minor(const pprofd_file_key& key) {
  return key.device & ((1u << kMinorBits) - 1);
}

bool HasDevice(const struct stat& info, const pprofd_file_key& key) {
  return major(info.st_dev) == Major(key) && minor(info.st_dev) == Minor(key);
}

bool HasChangeTime(const struct stat& info, const pprofd_file_key& key) {
  return static_cast<uint64_t>(info.st_ctim.tv_sec) * 1'000'000'000 +
             static_cast<uint64_t>(info.st_ctim.tv_nsec) ==
         key.ctime_ns;
}

// Overlayfs and btrfs show a device of their own, and overlayfs over several
// file systems an inode number of its own: one of two marks must do there.
bool MayBeMapped(const struct stat& info, const pprofd_file_key& key) {
  if (HasDevice(info, key)) return info.st_ino == key.inode;
  return info.st_ino == key.inode || HasChangeTime(info, key);
}

// For a file found by a path anybody may have changed: the change time, which
// nobody can set, and the inode unless an overlay hides it.
bool IsSurelyMapped(const struct stat& info, const pprofd_file_key& key) {
  return HasChangeTime(info, key) &&
         (info.st_ino == key.inode || !HasDevice(info, key));
}

// For a file that no living process vouches for: everything.
bool IsExactly(const struct stat& info, const pprofd_file_key& key) {
  bool is_overlay = major(info.st_dev) == 0;  // or another layered file system
  return info.st_ino == key.inode && HasChangeTime(info, key) &&
         (HasDevice(info, key) || is_overlay);
}

using IdentityCheck = bool (*)(const struct stat&, const pprofd_file_key&);

Result<UniqueFd> OpenIfSame(const UniqueFd& path_fd, const pprofd_file_key& key,
                            IdentityCheck is_same) {
  struct stat info;
  if (fstat(path_fd.get(), &info) != 0) {
    return Status::FromErrno(errno, "fstat");
  }
  if (!is_same(info, key)) {
    return Status(StatusCode::kNotFound, "another file than the mapped one");
  }
  return ReopenForReading(path_fd);
}

// One attempt to open the file behind an event, with what was learned.
class Attempt {
 public:
  Attempt(const NewModuleEvent& event, const std::string& proc_root)
      : event_(event), proc_root_(proc_root) {}

  Module Run() {
    Module module;
    module.id = event_.module;
    module.key = event_.key;
    Result<ProcessDir> process = ProcessDir::Open(proc_root_, event_.process);
    if (process.ok()) {
      TryLiving(*process);
      if (process->HasOtherRoot()) {
        module.root =
            proc_root_ + "/" + std::to_string(event_.process.pid) + "/root";
      }
    } else {
      Note("process", process.status());
    }
    if (!file_) TryHost();
    module.file = std::move(file_);
    module.path = path_.empty() ? event_.path : path_;
    if (!module.file) module.unavailable_reason = std::move(failures_);
    return module;
  }

 private:
  void TryLiving(const ProcessDir& process) {
    const std::string root_path = process.RootPath();
    TryMapFiles(process, root_path, event_.map_start, event_.map_limit);
    if (file_) return;
    // The mapping may have been split or joined since, or map_files needs
    // rights that we lack.
    Result<ProcMaps> maps = process.ReadMaps();
    if (!maps.ok()) return Note("maps", maps.status());
    const ProcMapping* mapping = maps->Find(event_.map_start);
    if (mapping == nullptr || !mapping->is_file()) {
      return Note("maps", Status(StatusCode::kNotFound, "no longer mapped"));
    }
    if (mapping->start != event_.map_start ||
        mapping->limit != event_.map_limit) {
      TryMapFiles(process, root_path, mapping->start, mapping->limit);
      if (file_) return;
    }
    TryRoot(process, PathBelowRoot(mapping->path, root_path));
  }

  void TryMapFiles(const ProcessDir& process, const std::string& root_path,
                   VirtualAddr start, VirtualAddr limit) {
    char name[64];
    std::snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64,
                  start.value, limit.value);
    Result<UniqueFd> path_fd = process.OpenAt(name, O_PATH);
    if (!path_fd.ok()) return Note("map_files", path_fd.status());
    Result<UniqueFd> file = OpenIfSame(*path_fd, event_.key, MayBeMapped);
    if (!file.ok()) return Note("map_files", file.status());
    file_ = std::move(file).value();
    Result<std::string> path = process.ReadLinkAt(name);
    if (!path.ok()) return;
    path_ = std::move(path).value();
    RemoveDeletedMark(&path_);
    path_ = PathBelowRoot(std::move(path_), root_path);
  }

  void TryRoot(const ProcessDir& process, std::string path) {
    path_ = std::move(path);
    Result<UniqueFd> root = process.OpenAt("root", O_PATH | O_DIRECTORY);
    if (!root.ok()) return Note("root", root.status());
    TryPath(root->get(), path_, IsSurelyMapped);
  }

  void TryHost() {
    if (event_.path.empty()) return;
    std::string path =
        event_.path.starts_with('/') ? event_.path : "/" + event_.path;
    UniqueFd root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    std::vector<std::string> candidates = PathsOnHost(
        ReadMountInfo(), Major(event_.key), Minor(event_.key), path);
    if (candidates.empty()) candidates.push_back(path);  // a layered root
    for (const std::string& candidate : candidates) {
      TryPath(root.get(), candidate, IsExactly);
      if (!file_) continue;
      path_ = candidate;
      return;
    }
  }

  void TryPath(int root, const std::string& path, IdentityCheck is_same) {
    Result<UniqueFd> path_fd = OpenPathInRoot(root, path);
    if (!path_fd.ok()) return Note("path", path_fd.status());
    Result<UniqueFd> file = OpenIfSame(*path_fd, event_.key, is_same);
    if (!file.ok()) return Note(path, file.status());
    file_ = std::move(file).value();
  }

  std::string ReadMountInfo() const {
    std::string text;
    UniqueFd fd(
        open((proc_root_ + "/self/mountinfo").c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return text;
    char piece[16 << 10];
    ssize_t size;
    while (text.size() < kMaxMountInfoBytes &&
           (size = read(fd.get(), piece, sizeof(piece))) > 0) {
      text.append(piece, size);
    }
    return text;
  }

  void Note(const std::string& what, const Status& status) {
    if (!failures_.empty()) failures_ += "; ";
    failures_ += status.WithContext(what).message();
  }

  const NewModuleEvent& event_;
  const std::string& proc_root_;
  UniqueFd file_;
  std::string path_;
  std::string failures_;
};

}  // namespace

Module OpenModule(const NewModuleEvent& event, const std::string& proc_root) {
  Module module = Attempt(event, proc_root).Run();
  Count(module.file ? Counter::modules_opened : Counter::modules_open_failed);
  return module;
}

Module OpenMappedModule(const ProcessKey& process, const ProcMapping& line,
                        ModuleId number) {
  NewModuleEvent event;
  event.key.inode = line.inode;
  event.module = number;
  event.process = process;
  event.map_start = line.start;
  event.map_limit = line.limit;
  event.offset = line.offset;
  event.path = line.path;
  return OpenModule(event);
}

}  // namespace pprofd
