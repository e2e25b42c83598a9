// ModuleSource: everything known about the names of one module.
//
// Sources, best first: DWARF of the file or of its separate debug file, with
// what dwz moved to an alternate file and units split off, Go's own table,
// .symtab of both files or the one that is packed in .gnu_debugdata, .dynsym,
// stubs of the PLT. Code in no function, padding mostly, has its line alone if
// the line table has one. Files are opened when an address is not in the cache
// and closed when the call ends, so that an idle module costs only what was
// asked of it. What a SymbolStore knows is not looked for in DWARF
// (module_cache.h). Owns: indexes, the cache of chains, the debug file's
// descriptor. Borrows: SymbolStore. Thread: one owner at a time. Bound:
// kMaxChains; bytes() for the owner's bound, and Shrink().
#ifndef SYMBOLIZER_MODULE_SOURCE_H_
#define SYMBOLIZER_MODULE_SOURCE_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/model/ids.h"
#include "daemon/model/profile_service.h"  // DemangleStyle
#include "symbolizer/chain_table.h"
#include "symbolizer/debug_files.h"
#include "symbolizer/dwarf_index.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/go_pclntab.h"
#include "symbolizer/mini_debug_info.h"
#include "symbolizer/module_cache.h"
#include "symbolizer/split_files.h"
#include "symbolizer/symbol_table.h"
#include "symbolizer/symbols.h"

namespace pprofd {

class ModuleSource {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  static constexpr size_t kMaxChains = 1 << 20;
  static constexpr size_t kMaxPoolBytes = 256 << 20;  // of texts

  // Without a store, nothing is kept beyond this object.
  explicit ModuleSource(DebugFileSearch search, SymbolStore* store = nullptr)
      : search_(std::move(search)), cache_(store) {}

  // `file` is borrowed for the call. The answer's texts are of this object.
  ModuleSymbols Symbolize(int file, std::span<const ModuleAddr> addresses,
                          DemangleStyle style, Deadline deadline);

  // Looks what there is, as the first Symbolize() does.
  void Examine(int file);

  SourceReport report() const;
  size_t bytes() const;
  // Of decompressed DWARF that is kept for the next call.
  uint64_t warm_bytes() const {
    return warm_dwarf_ ? warm_dwarf_->decompressed_bytes() : 0;
  }
  void Cool() { warm_dwarf_.reset(); }
  // Drops unit indexes beyond max_bytes; they can be made again.
  void Shrink(size_t max_bytes) {
    if (dwarf_index_) dwarf_index_->DropUnits(max_bytes);
  }

  bool IsSaveDue(Deadline now) const { return cache_.IsSaveDue(now); }
  bool has_unsaved() const { return cache_.has_unsaved(); }
  // For the store; none when there is nothing new.
  std::optional<ModuleCache::Content> MakeCacheContent() {
    return cache_.MakeContent(chains_);
  }

 private:
  std::vector<std::string> attempts() const;
  // A file mapped for the length of one call.
  struct OpenElf {
    MemoryMap map;
    std::optional<ElfFile> elf;
  };
  struct Batch {
    int file = -1;
    Deadline deadline;
    OpenElf own;
    OpenElf debug;
    std::unique_ptr<DwarfFile> dwarf;
    std::optional<GoPclntab> go;
    std::optional<MiniDebugInfo> mini;
    bool is_whole = true;  // no source failed that had been there
  };

  // A function as answers have it.
  struct Presented {
    SymbolFunction function;  // its name in the style of profiles
    uint64_t answer = 0;      // the last that has it, and its number there
    uint32_t number = 0;
  };

  ModuleSymbols Answer(std::span<const ModuleAddr> addresses,
                       DemangleStyle style, std::vector<ModuleAddr>* missing);
  bool OpenBatch(Batch& batch);
  void Discover(Batch& batch);
  void DiscoverDebugFile(const ElfFile& own);
  void DiscoverAlternate(const ElfFile& file, const DebugFile& holder);
  void DiscoverMini(Batch& batch);
  void OpenDwarf(Batch& batch);
  Result<std::unique_ptr<DwarfFile>> OpenDwarfFile(int file);
  void FillCache(Batch& batch, std::span<const ModuleAddr> addresses);
  // False when the deadline passed.
  bool AskSources(Batch& batch, ModuleAddr address);
  ModuleCache::Files Files(const Batch& batch) const {
    return {batch.file, debug_fd_.get(), alternate_fd_.get()};
  }
  void AddSymbolName(Batch& batch, ModuleAddr address,
                     std::vector<CodeLine>& lines);
  void AddGoLine(const GoLine& found, std::vector<CodeLine>& lines);
  std::string FindSymbolName(Batch& batch, ModuleAddr address);
  std::string FindMiniName(Batch& batch, ModuleAddr address);
  uint32_t Present(uint32_t function, DemangleStyle style,
                   ModuleSymbols& result);
  std::string MakeName(const PooledFunction& function,
                       DemangleStyle style) const;

  const DebugFileSearch search_;
  bool is_discovered_ = false;
  std::string unusable_;  // why the file has no names at all
  std::vector<std::string> attempts_;
  UniqueFd debug_fd_;
  std::string debug_path_;
  UniqueFd alternate_fd_;  // of dwz
  SymbolTable own_symbols_;
  SymbolTable debug_symbols_;
  SymbolTable mini_symbols_;  // of .gnu_debugdata
  bool has_dwarf_ = false;
  bool dwarf_is_separate_ = false;
  bool has_go_table_ = false;
  std::unique_ptr<SplitFiles> split_files_;  // outlives dwarf_index_
  bool has_symtab_ = false;
  bool has_dynsym_ = false;
  std::unique_ptr<DwarfIndex> dwarf_index_;
  std::unique_ptr<DwarfFile> warm_dwarf_;

  ChainTable chains_;
  ModuleCache cache_;
  StringPool short_names_;            // in the style of profiles
  std::vector<Presented> presented_;  // by the function's number in the pool
  uint64_t answers_ = 0;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_MODULE_SOURCE_H_
