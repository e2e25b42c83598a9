#include "daemon/process/dpkg_owners.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/process/root_file.h"
#include "daemon/process/target_system.h"

namespace pprofd {
namespace {

constexpr char kInfo[] = "/var/lib/dpkg/info";
constexpr std::string_view kListSuffix = ".list";
constexpr size_t kMaxPackageBytes = 128;

bool IsLowerOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// Names of lists, in order; at most `max`.
Result<std::vector<std::string>> ListNames(int root, size_t max,
                                           bool* is_complete) {
  ASSIGN_OR_RETURN(UniqueFd found, OpenPathInRoot(root, kInfo));
  // Nothing but a directory is opened: no device, no FIFO.
  int fd =
      openat(found.get(), ".", O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return Status::FromErrno(errno, kInfo);
  UniqueDir dir(fdopendir(fd));
  if (!dir) {
    close(fd);
    return Status::FromErrno(errno, kInfo);
  }
  std::vector<std::string> names;
  // Lists are one in three or four files of the directory.
  for (size_t seen = 0; const dirent* entry = readdir(dir.get()); ++seen) {
    if (seen >= max * 8 || names.size() >= max) {
      *is_complete = false;
      break;
    }
    if (!PackageOfList(entry->d_name).empty())
      names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// path in a list -> path asked for.
using Wanted = std::map<std::string, std::string, std::less<>>;

Wanted SpellingsOf(const std::set<std::string>& paths) {
  Wanted wanted;
  for (const std::string& path : paths) {
    wanted.emplace(path, path);
    if (path.starts_with("/usr/")) wanted.emplace(path.substr(4), path);
  }
  return wanted;
}

void Search(std::string_view list, const std::string& package,
            const Wanted& wanted, DpkgOwners* owners) {
  while (!list.empty()) {
    size_t end = std::min(list.find('\n'), list.size());
    auto found = wanted.find(list.substr(0, end));
    if (found != wanted.end()) {
      owners->packages.emplace(found->second, package);
    }
    list.remove_prefix(std::min(end + 1, list.size()));
  }
}

}  // namespace

std::string PackageOfList(std::string_view file_name) {
  if (!file_name.ends_with(kListSuffix)) return "";
  file_name.remove_suffix(kListSuffix.size());
  size_t colon = std::min(file_name.find(':'), file_name.size());
  std::string_view package = file_name.substr(0, colon);
  std::string_view architecture =
      file_name.substr(std::min(colon + 1, file_name.size()));
  bool is_name = package.size() >= 2 && package.size() <= kMaxPackageBytes &&
                 IsLowerOrDigit(package.front()) &&
                 std::all_of(package.begin(), package.end(), [](char c) {
                   return IsLowerOrDigit(c) || c == '+' || c == '-' || c == '.';
                 });
  bool is_architecture =
      std::all_of(architecture.begin(), architecture.end(),
                  [](char c) { return IsLowerOrDigit(c) || c == '-'; });
  return is_name && is_architecture ? std::string(package) : "";
}

DpkgOwners FindDpkgOwners(int root, const std::set<std::string>& paths,
                          const DpkgLimits& limits) {
  DpkgOwners owners;
  owners.is_complete = true;
  Result<std::vector<std::string>> names =
      ListNames(root, limits.max_lists, &owners.is_complete);
  if (!names.ok()) {
    owners.is_complete = false;
    owners.problem = names.status().message();
    return owners;
  }
  if (!owners.is_complete) owners.problem = "too many packages";
  Wanted wanted = SpellingsOf(paths);
  size_t total_bytes = 0;
  for (const std::string& name : *names) {
    std::string package = PackageOfList(name);
    if (package.ends_with("-dbgsym") || package.ends_with("-dbg")) {
      owners.debug_packages.insert(package);
    }
    if (owners.packages.size() == paths.size()) continue;
    if (total_bytes >= limits.max_total_bytes ||
        std::chrono::steady_clock::now() >= limits.deadline) {
      owners.is_complete = false;
      owners.problem = "reading the package database took too long";
      continue;
    }
    Result<std::string> list = ReadFileInRoot(
        root, std::string(kInfo) + "/" + name, limits.max_list_bytes);
    if (!list.ok()) {
      owners.is_complete = false;
      owners.problem = list.status().message();
      continue;
    }
    total_bytes += list->size();
    Search(*list, package, wanted, &owners);
  }
  return owners;
}

}  // namespace pprofd
