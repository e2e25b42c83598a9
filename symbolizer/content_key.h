// ContentKey: the name under which a SymbolStore keeps what was read from some
// files; FileIdentity, to see that they have not changed meanwhile.
//
// A build ID is the file's own word, and a forged file must not name the
// functions of a good one. So the key is a SHA-256 over the content of all
// files, and who owns them: only who may write a file could change it while it
// is read. A file above kMaxHashedBytes, and one of a FUSE server, which may
// answer each reader as it likes, counts by device, inode, size, times and its
// first kSampleBytes (where the build ID is): such keys outlive a restart, but
// no copy of the file shares them.
// Thread: any; blocks on I/O, 1.4 GB/s where the CPU has SHA instructions.
#ifndef SYMBOLIZER_CONTENT_KEY_H_
#define SYMBOLIZER_CONTENT_KEY_H_

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "daemon/base/status.h"

namespace pprofd {

inline constexpr uint64_t kMaxHashedBytes = 64 << 20;
inline constexpr uint64_t kSampleBytes = 1 << 20;

struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  uint64_t owner = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;
  bool operator==(const FileIdentity&) const = default;
};

// All zeros for a descriptor that has none.
FileIdentity IdentityOf(int file);

// 64 hexadecimal digits; -1 among `files` stands for one that is not there.
// `reader` tells apart programs that find different names in the same files.
// Fails: Timeout, Gone (a file changed while it was read), Io.
Result<std::string> ContentKey(std::span<const int> files,
                               std::string_view reader,
                               std::chrono::steady_clock::time_point deadline);

}  // namespace pprofd

#endif  // SYMBOLIZER_CONTENT_KEY_H_
