// Symbolizer: module addresses to functions, files, lines and inlined calls.
//
// The facade over all sources of names. Built as a library now; the interface
// takes descriptors and returns values only, so that it can become a process of
// its own without rights.
// Owns: per-module indexes and caches. Borrows: nothing.
// Thread: locks itself (one mutex per module, one for the table of modules);
//   calls for different modules run side by side.
// Bound: max_cache_bytes over all modules, least recently used module first.
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

namespace pprofd {

// One call level at an address.
struct SymbolLine {
  std::string name;         // demangled in the style asked for
  std::string system_name;  // linkage name
  std::string file;         // absolute path, "" unknown
  int64_t line = 0;         // 0 unknown
  int64_t column = 0;
  int64_t start_line = 0;  // of the function's declaration, 0 unknown
};

// Innermost inlined call first, physical function last; empty = unresolved.
using SymbolChain = std::vector<SymbolLine>;

struct ModuleSymbols {
  std::vector<SymbolChain> chains;  // parallel to the addresses asked for
  bool has_filenames = false;       // the module's sources can give them
  bool has_line_numbers = false;
  bool has_inline_frames = false;
};

// What names come from, for one module; tells users what is missing.
struct SourceReport {
  // "path or section: found N symbols | why not"; empty: never looked at.
  std::vector<std::string> attempts;
  // Of a module, its separate debug file included:
  bool has_dwarf = false;
  bool has_symtab = false;  // .symtab, which strip removes
  bool has_dynsym = false;
  bool has_go_table = false;
};

class Symbolizer {
 public:
  struct Options {
    size_t max_cache_bytes = 64 << 20;
    // Searched for separate, alternate and split debug files, in order.
    std::vector<std::string> debug_roots{"/usr/lib/debug"};
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

  // Kernel and kernel-module symbols from /proc/kallsyms (refreshed when
  // modules or BPF programs come and go); name has no "[module]" suffix.
  ModuleSymbols SymbolizeKernel(std::span<const uint64_t> addresses);

  // JIT symbols from the perf map of a process: `map_file` is an open
  // descriptor of perf-PID.map, borrowed; re-read when size or mtime changed.
  ModuleSymbols SymbolizePerfMap(int map_file, const std::string& cache_key,
                                 std::span<const uint64_t> addresses,
                                 DemangleStyle style);

  SourceReport Report(const std::string& cache_key);
  // The same for a file that was never symbolized; keeps nothing of it.
  SourceReport Examine(int file, const std::string& path,
                       const std::string& root) const;
  // The same for SymbolizeKernel().
  SourceReport KernelReport();
  size_t cache_bytes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_SYMBOLIZER_H_
