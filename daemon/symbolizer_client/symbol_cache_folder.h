// SymbolCacheFolder: the SymbolStore that is a folder on disk.
//
// One file per key, written under another name and renamed, so that a reader
// has a whole one or none; what a crash leaves half-written is removed at the
// next start. The folder belongs to this user alone: one that others could
// write is not used. Nothing is synced: readers check what they get.
// Owns: the folder's descriptor. Thread: locks itself (mutex_).
// Bound: max_bytes on disk, the files used longest ago go first
//   (symbol_cache_evicted); a used file gets the present as its mtime.
// Fails: a folder that cannot be used is told once in the log; there is no
//   cache then. A file that cannot be written is told now and then.
#ifndef DAEMON_SYMBOLIZER_CLIENT_SYMBOL_CACHE_FOLDER_H_
#define DAEMON_SYMBOLIZER_CLIENT_SYMBOL_CACHE_FOLDER_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "symbolizer/symbol_store.h"

namespace pprofd {

class SymbolCacheFolder : public SymbolStore {
 public:
  struct Options {
    std::string path;
    uint64_t max_bytes = 0;
  };

  // Makes the folder's last part if it is not there.
  static Result<std::unique_ptr<SymbolCacheFolder>> Open(Options options);

  Result<UniqueFd> Load(const std::string& key, Purpose purpose) override;
  Status Save(const std::string& key, std::span<const uint8_t> bytes) override;
  void Discard(const std::string& key) override;

 private:
  SymbolCacheFolder(Options options, UniqueFd folder)
      : options_(std::move(options)), folder_(std::move(folder)) {}

  Status Write(const std::string& name, std::span<const uint8_t> bytes);
  void RemoveLeftovers();
  void MakeRoom(uint64_t max_bytes);
  void Remove(const std::string& name, uint64_t bytes);
  void SetDiskBytes(uint64_t bytes);

  const Options options_;
  const UniqueFd folder_;

  std::mutex mutex_;
  // Guarded by mutex_.
  uint64_t disk_bytes_ = 0;
  uint64_t writes_ = 0;
};

// nullptr, after a line in the log, for a folder that cannot be used, and when
// max_bytes is 0.
std::unique_ptr<SymbolCacheFolder> OpenSymbolCache(
    SymbolCacheFolder::Options options);

}  // namespace pprofd

#endif  // DAEMON_SYMBOLIZER_CLIENT_SYMBOL_CACHE_FOLDER_H_
