#include "daemon/process/proc_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

namespace pprofd {
namespace {

constexpr int64_t kMaxPid = 4'194'304;              // PID_MAX_LIMIT
constexpr uint64_t kKernelThreadFlag = 0x00200000;  // PF_KTHREAD
constexpr int32_t kKernelThreadParent = 2;          // kthreadd
constexpr size_t kMaxStatBytes = 4 << 10;
constexpr size_t kMaxStatusBytes = 64 << 10;
constexpr size_t kMaxCommBytes = 64;
constexpr size_t kMaxCgroupBytes = 64 << 10;

template <typename T>
bool ParseNumber(std::string_view text, T* value) {
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

// The next field of `text`, which loses it; "" at its end.
std::string_view TakeField(std::string_view* text) {
  size_t begin = text->find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return {};
  text->remove_prefix(begin);
  size_t end = std::min(text->find_first_of(" \t\n"), text->size());
  std::string_view field = text->substr(0, end);
  text->remove_prefix(end);
  return field;
}

Result<std::string> ReadCapped(int fd, size_t max_bytes) {
  std::string text;
  while (text.size() < max_bytes) {
    size_t old_size = text.size();
    text.resize(std::min(max_bytes, std::max<size_t>(1024, old_size * 2)));
    ssize_t size = read(fd, text.data() + old_size, text.size() - old_size);
    int error = errno;
    text.resize(old_size + std::max<ssize_t>(size, 0));
    if (size < 0 && error == EINTR) continue;
    if (size < 0) return Status::FromErrno(error, "read");
    if (size == 0) break;
  }
  return text;
}

std::vector<int32_t> NumbersIn(UniqueFd dir_fd) {
  std::vector<int32_t> numbers;
  UniqueDir dir(fdopendir(dir_fd.get()));
  if (!dir) return numbers;
  dir_fd.Take();  // belongs to the directory stream now
  while (const dirent* entry = readdir(dir.get())) {
    int32_t number = 0;
    if (ParseNumber(std::string_view(entry->d_name), &number) &&
        IsValidPid(number)) {
      numbers.push_back(number);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::string ReadFirstLine(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  Result<std::string> text = ReadCapped(fd.get(), kMaxStatBytes);
  if (!text.ok()) return {};
  return text->substr(0, text->find('\n'));
}

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

bool IsValidPid(int64_t pid) { return pid > 0 && pid <= kMaxPid; }

std::optional<ProcessStat> ParseProcessStat(std::string_view text) {
  // "PID (COMM) STATE …": the name may hold blanks and parentheses, the rest
  // does not, so the last parenthesis ends it.
  size_t open = text.find('(');
  size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos ||
      close < open) {
    return std::nullopt;
  }
  ProcessStat stat;
  stat.comm = text.substr(open + 1, close - open - 1);
  std::string_view head = text.substr(0, open);
  std::string_view rest = text.substr(close + 1);
  int64_t user_ticks = 0;
  int64_t system_ticks = 0;
  bool ok = ParseNumber(TakeField(&head), &stat.pid);
  for (int number = 3; number <= 22; ++number) {
    std::string_view field = TakeField(&rest);
    if (field.empty()) return std::nullopt;
    switch (number) {
      case 3:
        stat.state = field[0];
        break;
      case 4:
        ok &= ParseNumber(field, &stat.parent_pid);
        break;
      case 9:
        ok &= ParseNumber(field, &stat.flags);
        break;
      case 14:
        ok &= ParseNumber(field, &user_ticks);
        break;
      case 15:
        ok &= ParseNumber(field, &system_ticks);
        break;
      case 20:
        ok &= ParseNumber(field, &stat.threads);
        break;
      case 22:
        ok &= ParseNumber(field, &stat.start_ticks);
        break;
      default:
        break;
    }
  }
  constexpr int64_t kMaxTicks = INT64_MAX / kNsPerTick / 2;
  ok &= user_ticks >= 0 && user_ticks <= kMaxTicks;
  ok &= system_ticks >= 0 && system_ticks <= kMaxTicks;
  if (!ok) return std::nullopt;
  stat.cpu_time_ns = (user_ticks + system_ticks) * kNsPerTick;
  return stat;
}

ProcessStatus ParseProcessStatus(std::string_view text) {
  ProcessStatus status;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string_view key = TakeField(&line);
    if (key == "Threads:") {
      ParseNumber(TakeField(&line), &status.threads);
    } else if (key == "Uid:") {
      TakeField(&line);  // real
      ParseNumber(TakeField(&line), &status.uid);
    } else if (key == "Seccomp:") {
      status.is_confined = TakeField(&line) != "0";
    } else if (key == "NStgid:") {
      for (auto field = TakeField(&line); !field.empty();
           field = TakeField(&line)) {
        ParseNumber(field, &status.namespace_pid);
      }
    }
  }
  return status;
}

Result<ProcessDir> ProcessDir::Open(const std::string& proc_root, int32_t pid) {
  if (!IsValidPid(pid)) {
    return Status(StatusCode::kInvalid, "no pid: " + std::to_string(pid));
  }
  ProcessDir process;
  process.self_ = proc_root + "/self";
  std::string path = proc_root + "/" + std::to_string(pid);
  process.dir_ = UniqueFd(
      open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!process.dir_) {
    if (errno == ENOENT) {
      return Status(StatusCode::kGone,
                    "no such process: " + std::to_string(pid));
    }
    return Status::FromErrno(errno, path);
  }
  process.stat_.pid = pid;
  ASSIGN_OR_RETURN(process.stat_, process.ReadStat());
  if (process.stat_.pid != pid) {
    return Status(StatusCode::kCorrupt, path + "/stat: of another pid");
  }
  return process;
}

Result<ProcessDir> ProcessDir::Open(const std::string& proc_root,
                                    const ProcessKey& key) {
  ASSIGN_OR_RETURN(ProcessDir process, Open(proc_root, key.pid));
  if (process.key() != key) {
    return Status(StatusCode::kGone, "process " + std::to_string(key.pid) +
                                         " is gone, its pid used again");
  }
  return process;
}

Status ProcessDir::ErrorAt(int error, const std::string& name) const {
  std::string path = "/proc/" + std::to_string(stat_.pid) + "/" + name;
  // Nothing can be found below the directory of a process that left.
  if (error == ENOENT && faccessat(dir_.get(), "stat", F_OK, 0) != 0) {
    return Status(StatusCode::kGone, path + ": the process is gone");
  }
  return Status::FromErrno(error, path);
}

Result<UniqueFd> ProcessDir::OpenAt(const std::string& name, int flags) const {
  UniqueFd fd(openat(dir_.get(), name.c_str(), flags | O_CLOEXEC));
  if (!fd) return ErrorAt(errno, name);
  return fd;
}

Result<std::string> ProcessDir::ReadLinkAt(const std::string& name) const {
  std::string target(PATH_MAX + 64, '\0');
  ssize_t size =
      readlinkat(dir_.get(), name.c_str(), target.data(), target.size());
  if (size < 0) return ErrorAt(errno, name);
  target.resize(size);
  return target;
}

Result<std::string> ProcessDir::ReadFileAt(const std::string& name,
                                           size_t max_bytes) const {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(name, O_RDONLY));
  Result<std::string> text = ReadCapped(fd.get(), max_bytes);
  if (text.ok()) return text;
  return text.status().WithContext("/proc/" + std::to_string(stat_.pid) + "/" +
                                   name);
}

Result<ProcessStat> ProcessDir::ReadStat() const {
  ASSIGN_OR_RETURN(std::string text, ReadFileAt("stat", kMaxStatBytes));
  std::optional<ProcessStat> stat = ParseProcessStat(text);
  if (!stat) {
    return Status(StatusCode::kCorrupt,
                  "/proc/" + std::to_string(stat_.pid) + "/stat: no fields");
  }
  return *std::move(stat);
}

Result<ProcessStatus> ProcessDir::ReadStatus() const {
  ASSIGN_OR_RETURN(std::string text, ReadFileAt("status", kMaxStatusBytes));
  return ParseProcessStatus(text);
}

Result<std::string> ProcessDir::ReadComm() const {
  ASSIGN_OR_RETURN(std::string comm, ReadFileAt("comm", kMaxCommBytes));
  if (comm.ends_with('\n')) comm.pop_back();
  return comm;
}

Result<std::string> ProcessDir::ReadCmdline() const {
  ASSIGN_OR_RETURN(std::string cmdline,
                   ReadFileAt("cmdline", kMaxCmdlineBytes));
  if (cmdline.ends_with('\0')) cmdline.pop_back();
  return cmdline;
}

Result<std::string> ProcessDir::ReadExe() const {
  ASSIGN_OR_RETURN(std::string exe, ReadLinkAt("exe"));
  RemoveDeletedMark(&exe);
  return PathBelowRoot(std::move(exe), RootPath());
}

Result<std::string> ProcessDir::ReadCgroup() const {
  return ReadFileAt("cgroup", kMaxCgroupBytes);
}

Result<ProcMaps> ProcessDir::ReadMaps() const {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt("maps", O_RDONLY));
  return ReadProcMaps(fd.get());
}

Result<std::vector<int32_t>> ProcessDir::ListThreads() const {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt("task", O_RDONLY | O_DIRECTORY));
  return NumbersIn(std::move(fd));
}

bool ProcessDir::IsKernelThread() const {
  if ((stat_.flags & kKernelThreadFlag) != 0) return true;
  // Sandboxes that imitate /proc leave the flags 0.
  if (stat_.pid != kKernelThreadParent &&
      stat_.parent_pid != kKernelThreadParent) {
    return false;
  }
  Result<std::string> cmdline = ReadCmdline();
  return cmdline.ok() && cmdline->empty() && !ReadLinkAt("exe").ok();
}

std::string ProcessDir::RootPath() const {
  Result<std::string> root = ReadLinkAt("root");
  return root.ok() ? *root : "/";
}

bool ProcessDir::HasOtherRoot() const {
  struct stat theirs;
  struct stat ours;
  if (fstatat(dir_.get(), "root", &theirs, 0) == 0 &&
      ::stat((self_ + "/root").c_str(), &ours) == 0 &&
      !SameFile(theirs, ours)) {
    return true;
  }
  return fstatat(dir_.get(), "ns/mnt", &theirs, 0) == 0 &&
         ::stat((self_ + "/ns/mnt").c_str(), &ours) == 0 &&
         !SameFile(theirs, ours);
}

std::string PathBelowRoot(std::string path, std::string_view root) {
  if (root.size() > 1 && path.size() > root.size() && path.starts_with(root) &&
      path[root.size()] == '/') {
    path.erase(0, root.size());
  }
  return path;
}

std::vector<int32_t> ListPids(const std::string& proc_root) {
  UniqueFd dir(open(proc_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return dir ? NumbersIn(std::move(dir)) : std::vector<int32_t>();
}

HostInfo ReadHostInfo(const std::string& proc_root) {
  return {ReadFirstLine(proc_root + "/sys/kernel/hostname"),
          ReadFirstLine(proc_root + "/sys/kernel/osrelease")};
}

}  // namespace pprofd
