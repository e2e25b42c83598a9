// ModuleCache: one module's part of a SymbolStore.
//
// What was read from DWARF once is not read again after a restart or from
// another copy of the same files (content_key.h). Only modules with DWARF have
// a file in the store: symbol tables answer as fast themselves. Modules with
// split DWARF have none, since their files are found unit by unit; nor has a
// module one of whose files could not be read or changed meanwhile. An address
// that is known to have no name is kept; one that time was not enough for is
// not.
// Owns: the mapping of the stored file. Borrows: SymbolStore.
// Thread: one owner at a time.
// Bound: kMaxCacheFileBytes, where addresses saved long ago give way; mapped,
//   so that it is memory of the page cache, not ours.
#ifndef SYMBOLIZER_MODULE_CACHE_H_
#define SYMBOLIZER_MODULE_CACHE_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"
#include "symbolizer/cache_file.h"
#include "symbolizer/cache_writer.h"
#include "symbolizer/chain_table.h"
#include "symbolizer/content_key.h"
#include "symbolizer/symbol_store.h"

namespace pprofd {

class ModuleCache {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // The module, its debug file, and the alternate file of that; -1: none.
  using Files = std::array<int, 3>;

  // What is to be saved.
  struct Content {
    std::string key;
    std::vector<uint8_t> bytes;
  };

  // nullptr: keeps nothing and answers nothing.
  explicit ModuleCache(SymbolStore* store) : store_(store) {}

  // To be called before names are looked up: opens what the store has, once.
  void BeginBatch(const Files& files, Time deadline);
  // Copies the calls at `address` to `chains`. False: they are not stored.
  bool Find(ModuleAddr address, ChainTable& chains);
  // Notes that `chains` got an address, and that all sources were asked.
  void NoteNew(ModuleAddr address) {
    if (is_on()) batch_.push_back(address.value);
  }
  void EndBatch(const Files& files);
  // Keeps nothing more of this module.
  void TurnOff(std::string why);

  // Rises when a save is worth its cost: with many new addresses, or with some
  // for long. Never for a module that is off.
  bool IsSaveDue(Time now) const;
  bool has_unsaved() const { return !unsaved_.empty(); }
  // Merges the new addresses with what the store has now. They count as saved.
  std::optional<Content> MakeContent(const ChainTable& chains);
  // `chains` is about to lose its addresses.
  void ForgetUnsaved() { unsaved_.clear(); }

  // For SourceReport; "" when there is nothing to tell.
  std::string attempt() const;
  size_t bytes() const;

 private:
  bool is_on() const { return store_ != nullptr; }
  void Open();
  void Refuse();
  std::optional<uint32_t> CopyFunction(uint32_t number, SymbolPool& pool);
  void AddUnsaved(const ChainTable& chains, CacheWriter& writer) const;
  void AddStored(const CacheFile& file, CacheWriter& writer) const;

  SymbolStore* store_;  // nullptr when off
  std::string why_off_;
  std::string key_;  // "" until the first batch
  std::array<FileIdentity, 3> identities_;
  MemoryMap map_;
  std::optional<CacheFile> file_;                      // view of map_
  absl::flat_hash_map<uint32_t, uint32_t> functions_;  // of file_, in the pool
  size_t answered_ = 0;                                // by file_
  size_t stored_count_ = 0;                            // addresses in the store
  std::vector<uint64_t> batch_;
  std::vector<uint64_t> unsaved_;  // oldest first
  Time unsaved_since_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_MODULE_CACHE_H_
