#include "daemon/symbolizer_client/symbol_cache_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "daemon/base/telemetry.h"
#include "symbolizer/cache_file.h"

namespace pprofd {
namespace {

constexpr std::string_view kTemporarySuffix = ".new";
constexpr uint64_t kBlockBytes = 4096;
// Room is made for some more files at once: each time all are looked at.
constexpr uint64_t kRoomDivisor = 16;

uint64_t BytesOnDisk(uint64_t size) {
  return (size + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

int64_t Nanoseconds(const timespec& time) {
  return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec;
}

// Of the user we are, and of nobody else's making.
bool IsOurs(const struct stat& info) {
  return info.st_uid == geteuid() && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

struct StoredFile {
  int64_t used_ns = 0;
  std::string name;
  uint64_t bytes = 0;
};

bool IsLeftover(std::string_view name) {
  return name.ends_with(kTemporarySuffix) &&
         IsSymbolKey(name.substr(0, std::min(name.size(), kSymbolKeyDigits)));
}

// Names in the folder that `is_wanted` accepts.
template <typename Predicate>
std::vector<std::string> ListNames(int folder, Predicate is_wanted) {
  std::vector<std::string> names;
  int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return names;
  UniqueDir dir(fdopendir(copy));
  if (!dir) {
    close(copy);
    return names;
  }
  while (const dirent* entry = readdir(dir.get())) {
    if (is_wanted(std::string_view(entry->d_name))) {
      names.emplace_back(entry->d_name);
    }
  }
  return names;
}

std::vector<StoredFile> ListFiles(int folder) {
  std::vector<StoredFile> files;
  for (std::string& name : ListNames(folder, IsSymbolKey)) {
    struct stat info;
    if (fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      continue;
    }
    files.push_back(
        {.used_ns = Nanoseconds(info.st_mtim),
         .name = std::move(name),
         .bytes = BytesOnDisk(static_cast<uint64_t>(info.st_size))});
  }
  return files;
}

uint64_t Total(const std::vector<StoredFile>& files) {
  uint64_t total = 0;
  for (const StoredFile& file : files) total += file.bytes;
  return total;
}

Status WriteAll(int file, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Status::FromErrno(errno, "write");
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return Status::Ok();
}

}  // namespace

Result<std::unique_ptr<SymbolCacheFolder>> SymbolCacheFolder::Open(
    Options options) {
  const std::string& path = options.path;
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return Status::FromErrno(errno, path);
  }
  UniqueFd folder(
      open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info;
  if (!folder || fstat(folder.get(), &info) != 0) {
    return Status::FromErrno(errno, path);
  }
  if (!IsOurs(info)) {
    return Status(StatusCode::kDenied,
                  path +
                      ": must belong to the user pprofd runs as, and be "
                      "writable by no other");
  }
  if (faccessat(folder.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
    return Status::FromErrno(errno, path);
  }
  std::unique_ptr<SymbolCacheFolder> cache(
      new SymbolCacheFolder(std::move(options), std::move(folder)));
  cache->RemoveLeftovers();
  std::lock_guard lock(cache->mutex_);
  cache->MakeRoom(cache->options_.max_bytes);
  return cache;
}

Result<UniqueFd> SymbolCacheFolder::Load(const std::string& key,
                                         Purpose purpose) {
  if (!IsSymbolKey(key)) return Status(StatusCode::kInvalid, "no symbol key");
  UniqueFd file(openat(folder_.get(), key.c_str(),
                       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info;
  bool is_fit = file && fstat(file.get(), &info) == 0 &&
                S_ISREG(info.st_mode) && IsOurs(info);
  if (purpose == Purpose::kLookUp) {
    Count(is_fit ? Counter::symbol_cache_hits : Counter::symbol_cache_misses);
  }
  if (!is_fit) return Status(StatusCode::kNotFound, "not in the symbol cache");
  futimens(file.get(), nullptr);
  return file;
}

Status SymbolCacheFolder::Save(const std::string& key,
                               std::span<const uint8_t> bytes) {
  if (!IsSymbolKey(key)) return Status(StatusCode::kInvalid, "no symbol key");
  uint64_t size = BytesOnDisk(bytes.size());
  if (bytes.size() > kMaxCacheFileBytes || size > options_.max_bytes) {
    return Status(StatusCode::kExhausted, "too large for the symbol cache");
  }
  std::lock_guard lock(mutex_);
  if (disk_bytes_ + size > options_.max_bytes) {
    uint64_t rest = options_.max_bytes - size;
    MakeRoom(rest - std::min(rest, options_.max_bytes / kRoomDivisor));
  }
  struct stat old;
  bool replaces =
      fstatat(folder_.get(), key.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
  Status status = Write(key, bytes);
  if (!status.ok()) {
    LOG_EVERY(
        std::chrono::minutes(10),
        spdlog::warn("symbol cache: {}: {}", options_.path, status.message()));
    return status;
  }
  Count(Counter::symbol_cache_written);
  uint64_t freed =
      replaces ? BytesOnDisk(static_cast<uint64_t>(old.st_size)) : 0;
  SetDiskBytes(disk_bytes_ - std::min(disk_bytes_, freed) + size);
  return Status::Ok();
}

Status SymbolCacheFolder::Write(const std::string& name,
                                std::span<const uint8_t> bytes) {
  std::string temporary = name + "." + std::to_string(getpid()) + "." +
                          std::to_string(writes_++) +
                          std::string(kTemporarySuffix);
  UniqueFd file(openat(folder_.get(), temporary.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                       0600));
  if (!file) return Status::FromErrno(errno, "create");
  Status status = WriteAll(file.get(), bytes);
  if (status.ok() && renameat(folder_.get(), temporary.c_str(), folder_.get(),
                              name.c_str()) != 0) {
    status = Status::FromErrno(errno, "rename");
  }
  if (!status.ok()) unlinkat(folder_.get(), temporary.c_str(), 0);
  return status;
}

void SymbolCacheFolder::Discard(const std::string& key) {
  if (!IsSymbolKey(key)) return;
  Count(Counter::symbol_cache_invalid);
  std::lock_guard lock(mutex_);
  struct stat info;
  if (fstatat(folder_.get(), key.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return;
  }
  Remove(key, BytesOnDisk(static_cast<uint64_t>(info.st_size)));
}

void SymbolCacheFolder::RemoveLeftovers() {
  for (const std::string& name : ListNames(folder_.get(), IsLeftover)) {
    unlinkat(folder_.get(), name.c_str(), 0);
  }
}

// Removes what was used longest ago until at most max_bytes are left.
// REQUIRES: mutex_ is held.
void SymbolCacheFolder::MakeRoom(uint64_t max_bytes) {
  std::vector<StoredFile> files = ListFiles(folder_.get());
  std::sort(files.begin(), files.end(),
            [](const StoredFile& a, const StoredFile& b) {
              return a.used_ns < b.used_ns;
            });
  SetDiskBytes(Total(files));
  for (const StoredFile& file : files) {
    if (disk_bytes_ <= max_bytes) break;
    Remove(file.name, file.bytes);
    Count(Counter::symbol_cache_evicted);
  }
}

// REQUIRES: mutex_ is held.
void SymbolCacheFolder::Remove(const std::string& name, uint64_t bytes) {
  if (unlinkat(folder_.get(), name.c_str(), 0) != 0) return;
  SetDiskBytes(disk_bytes_ - std::min(disk_bytes_, bytes));
}

void SymbolCacheFolder::SetDiskBytes(uint64_t bytes) {
  disk_bytes_ = bytes;
  GlobalCounters().Set(Counter::symbol_cache_disk_bytes, bytes);
}

std::unique_ptr<SymbolCacheFolder> OpenSymbolCache(
    SymbolCacheFolder::Options options) {
  if (options.max_bytes == 0) return nullptr;
  auto opened = SymbolCacheFolder::Open(std::move(options));
  if (opened.ok()) return std::move(*opened);
  spdlog::warn("names are not kept on disk: symbols.cache_folder: {}",
               opened.status().message());
  return nullptr;
}

}  // namespace pprofd
