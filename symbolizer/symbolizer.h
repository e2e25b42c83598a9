// Symbolizer: module addresses to functions, files, lines and inlined calls.
//
// The facade over all sources of names but the kernel's. It is given
// descriptors and answers values: all it opens goes through a FileOpener.
// What DWARF told is kept in a SymbolStore for the next process.
// Owns: per-module indexes and caches. Borrows: FileOpener, SymbolStore.
// Thread: locks itself (one mutex per module, one for the table of modules);
//   calls for different modules run side by side.
// Bound: max_cache_bytes over all modules, least recently used module first,
//   and a quarter of it for modules that go and wait to be saved.
// Fails: never as a whole; an address without a name has an empty chain and the
//   module's SourceReport says why.
#ifndef SYMBOLIZER_SYMBOLIZER_H_
#define SYMBOLIZER_SYMBOLIZER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"
#include "daemon/model/profile_service.h"  // DemangleStyle
#include "symbolizer/file_opener.h"
#include "symbolizer/symbol_store.h"
#include "symbolizer/symbols.h"

namespace pprofd {

class Symbolizer {
 public:
  struct Options {
    size_t max_cache_bytes = 64 << 20;
    // Searched for separate, alternate and split debug files, in order.
    std::vector<std::string> debug_roots{"/usr/lib/debug"};
    FileOpener* opener = &OwnFileOpener();  // outlives the symbolizer
    SymbolStore* store = nullptr;           // the same; nullptr: keeps nothing
  };
  explicit Symbolizer(Options options);
  ~Symbolizer();

  // Names the addresses of one file. `file` is an open descriptor of the ELF
  // file, borrowed for the call; `cache_key` identifies its content (build ID,
  // or another unique string). `path` is for messages, and for debug files that
  // are named by or relative to it; `root` is the prefix under which to look
  // for those in the target's own root first (such as "/proc/7/root"), "" =
  // host only. Addresses not answered by `deadline` have empty chains.
  // Addresses are in the module's ELF address space and are looked up as they
  // are: the caller has subtracted 1 from return addresses.
  ModuleSymbols SymbolizeModule(int file, const std::string& cache_key,
                                const std::string& path,
                                const std::string& root,
                                std::span<const ModuleAddr> addresses,
                                DemangleStyle style,
                                std::chrono::steady_clock::time_point deadline);

  // JIT symbols from the perf map of a process: `map_file` is an open
  // descriptor of perf-PID.map, borrowed; re-read when size or mtime changed.
  ModuleSymbols SymbolizePerfMap(int map_file, const std::string& cache_key,
                                 std::span<const uint64_t> addresses,
                                 DemangleStyle style);
  // The same from a jitdump, with lines where it has them; what was appended to
  // it since the last call is read.
  ModuleSymbols SymbolizeJitDump(int file, const std::string& cache_key,
                                 std::span<const uint64_t> addresses,
                                 DemangleStyle style);

  // Gives the store what it is time to save, and begins no further module after
  // `until`; leaves out modules that are being asked. To be called often while
  // has_unsaved() and nobody waits: a module with 100,000 addresses in the
  // store takes some tenths of a second.
  void SaveSome(std::chrono::steady_clock::time_point until);
  void SaveAll();
  bool has_unsaved() const;

  // Looks anew, at the next question, for where the names of a module are:
  // a debug file has come.
  void Forget(const std::string& cache_key);

  SourceReport Report(const std::string& cache_key);
  // The same for a file that was never symbolized; keeps nothing of it.
  SourceReport Examine(int file, const std::string& path,
                       const std::string& root) const;
  size_t cache_bytes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_SYMBOLIZER_H_
