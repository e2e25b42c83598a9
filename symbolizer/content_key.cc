#include "symbolizer/content_key.h"

#include <linux/magic.h>
#include <nettle/sha2.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

namespace pprofd {
namespace {

using Deadline = std::chrono::steady_clock::time_point;

constexpr size_t kChunkBytes = 256 << 10;
constexpr uint64_t kAbsent = 0;
constexpr uint64_t kByContent = 1;
constexpr uint64_t kByIdentity = 2;

class Sha256 {
 public:
  Sha256() { sha256_init(&context_); }
  void Add(std::span<const uint8_t> bytes) {
    sha256_update(&context_, bytes.size(), bytes.data());
  }
  void Add(uint64_t number) {
    std::array<uint8_t, 8> bytes;
    for (uint8_t& byte : bytes) {
      byte = static_cast<uint8_t>(number);
      number >>= 8;
    }
    Add(bytes);
  }
  std::string Hex() {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::array<uint8_t, SHA256_DIGEST_SIZE> digest;
    sha256_digest(&context_, digest.size(), digest.data());
    std::string hex;
    for (uint8_t byte : digest) {
      hex += kDigits[byte >> 4];
      hex += kDigits[byte & 15];
    }
    return hex;
  }

 private:
  sha256_ctx context_;
};

int64_t Nanoseconds(const timespec& time) {
  return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec;
}

bool IsOnFuse(int file) {
  struct statfs info;
  return fstatfs(file, &info) != 0 || info.f_type == FUSE_SUPER_MAGIC;
}

// Reads rather than maps: pages of a mapping would count as our memory.
Status AddContent(int file, uint64_t size, Deadline deadline, Sha256& hash) {
  std::vector<uint8_t> chunk(std::min<uint64_t>(size, kChunkBytes));
  for (uint64_t done = 0; done < size;) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return Status(StatusCode::kTimeout, "no time to read the file");
    }
    size_t wanted = std::min<uint64_t>(chunk.size(), size - done);
    ssize_t got = pread(file, chunk.data(), wanted, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status::FromErrno(errno, "read");
    if (got == 0) return Status(StatusCode::kGone, "the file shrank");
    hash.Add({chunk.data(), static_cast<size_t>(got)});
    done += static_cast<uint64_t>(got);
  }
  return Status::Ok();
}

Status AddFile(int file, Deadline deadline, Sha256& hash) {
  if (file < 0) {
    hash.Add(kAbsent);
    return Status::Ok();
  }
  FileIdentity identity = IdentityOf(file);
  bool is_by_content = identity.size <= kMaxHashedBytes && !IsOnFuse(file);
  hash.Add(is_by_content ? kByContent : kByIdentity);
  hash.Add(identity.owner);
  hash.Add(identity.size);
  uint64_t hashed = identity.size;
  if (!is_by_content) {
    hash.Add(identity.device);
    hash.Add(identity.inode);
    hash.Add(static_cast<uint64_t>(identity.mtime_ns));
    hash.Add(static_cast<uint64_t>(identity.ctime_ns));
    hashed = std::min(hashed, kSampleBytes);
  }
  RETURN_IF_ERROR(AddContent(file, hashed, deadline, hash));
  if (IdentityOf(file) != identity) {
    return Status(StatusCode::kGone, "the file changed");
  }
  return Status::Ok();
}

}  // namespace

FileIdentity IdentityOf(int file) {
  struct stat info;
  if (file < 0 || fstat(file, &info) != 0) return {};
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .size = static_cast<uint64_t>(info.st_size),
          .owner = info.st_uid,
          .mtime_ns = Nanoseconds(info.st_mtim),
          .ctime_ns = Nanoseconds(info.st_ctim)};
}

Result<std::string> ContentKey(std::span<const int> files,
                               std::string_view reader, Deadline deadline) {
  Sha256 hash;
  hash.Add(reader.size());
  hash.Add({reinterpret_cast<const uint8_t*>(reader.data()), reader.size()});
  for (int file : files) RETURN_IF_ERROR(AddFile(file, deadline, hash));
  return hash.Hex();
}

}  // namespace pprofd
