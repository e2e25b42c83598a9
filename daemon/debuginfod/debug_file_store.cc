#include "daemon/debuginfod/debug_file_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace pprofd {
namespace {

constexpr std::string_view kEnding = ".debug";

std::string NameOf(const BuildId& build_id) {
  return build_id.Hex() + std::string(kEnding);
}

bool IsName(std::string_view name) {
  if (!name.ends_with(kEnding)) return false;
  name.remove_suffix(kEnding.size());
  return !name.empty() &&
         name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<UniqueFd> OpenFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(
      std::filesystem::path(folder).parent_path(), error);
  if (error) return Status::FromErrno(error.value(), folder);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return Status::FromErrno(errno, folder);
  }
  UniqueFd handle(
      open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info;
  if (!handle || fstat(handle.get(), &info) != 0) {
    return Status::FromErrno(errno, folder);
  }
  if (info.st_uid != geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Status(StatusCode::kDenied,
                  folder + ": others may write to it; it must be pprofd's own");
  }
  return handle;
}

}  // namespace

Result<DebugFileStore> DebugFileStore::Open(std::string folder,
                                            uint64_t max_bytes) {
  ASSIGN_OR_RETURN(UniqueFd handle, OpenFolder(folder));
  DebugFileStore store(std::move(folder), max_bytes, std::move(handle));
  RETURN_IF_ERROR(store.ReadFolder());
  store.Trim();
  return store;
}

Status DebugFileStore::ReadFolder() {
  UniqueDir dir(fdopendir(dup(handle_.get())));
  if (!dir) return Status::FromErrno(errno, folder_);
  struct Found {
    int64_t used_ns;
    std::string name;
    uint64_t bytes;
  };
  std::vector<Found> found;
  while (const dirent* entry = readdir(dir.get())) {
    struct stat info;
    if (!IsName(entry->d_name) ||
        fstatat(handle_.get(), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) !=
            0 ||
        !S_ISREG(info.st_mode)) {
      continue;
    }
    found.push_back({info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec,
                     entry->d_name, static_cast<uint64_t>(info.st_size)});
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return a.used_ns < b.used_ns;
  });
  for (Found& file : found) {
    bytes_ += file.bytes;
    files_[std::move(file.name)] = {.bytes = file.bytes, .last_use = ++uses_};
  }
  return Status::Ok();
}

std::string DebugFileStore::PathOf(const BuildId& build_id) const {
  return folder_ + "/" + NameOf(build_id);
}

UniqueFd DebugFileStore::Find(const BuildId& build_id) {
  std::string name = NameOf(build_id);
  auto known = files_.find(name);
  if (known == files_.end()) return {};
  UniqueFd file(openat(handle_.get(), name.c_str(),
                       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info;
  if (!file || fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    Forget(name);
    return {};
  }
  known->second.last_use = ++uses_;
  futimens(file.get(), nullptr);
  return file;
}

Result<uint64_t> DebugFileStore::Adopt(const BuildId& build_id,
                                       const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return Status::FromErrno(errno, path);
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kInvalid, path + ": not a regular file");
  }
  auto bytes = static_cast<uint64_t>(info.st_size);
  if (bytes > max_bytes_) {
    return Status(StatusCode::kExhausted,
                  "larger than " + std::to_string(max_bytes_) + " bytes");
  }
  std::string name = NameOf(build_id);
  if (renameat(AT_FDCWD, path.c_str(), handle_.get(), name.c_str()) != 0) {
    return Status::FromErrno(errno, path);
  }
  // Servers date files by their own.
  utimensat(handle_.get(), name.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
  Forget(name);
  bytes_ += bytes;
  files_[name] = {.bytes = bytes, .last_use = ++uses_};
  Trim();
  return bytes;
}

void DebugFileStore::Forget(const std::string& name) {
  auto known = files_.find(name);
  if (known == files_.end()) return;
  bytes_ -= known->second.bytes;
  files_.erase(known);
}

void DebugFileStore::Trim() {
  while (bytes_ > max_bytes_ || files_.size() > kMaxFiles) {
    auto oldest = std::min_element(
        files_.begin(), files_.end(), [](const auto& a, const auto& b) {
          return a.second.last_use < b.second.last_use;
        });
    unlinkat(handle_.get(), oldest->first.c_str(), 0);
    bytes_ -= oldest->second.bytes;
    files_.erase(oldest);
  }
}

}  // namespace pprofd
