// SymbolizerSource: the SymbolSource that asks a symbolizer and the kernel.
//
// Owns: nothing. Borrows: SymbolizerClient, KernelSymbols, PerfMapSource.
// Thread: as safe as what it borrows.
#ifndef DAEMON_PROFILE_SYMBOLIZER_SOURCE_H_
#define DAEMON_PROFILE_SYMBOLIZER_SOURCE_H_

#include <string>

#include "daemon/profile/profile_sources.h"
#include "daemon/symbolizer_client/symbolizer_client.h"
#include "symbolizer/kernel_symbols.h"

namespace pprofd {

// A module's file as the symbolizer knows it; borrows from `module`.
NamedFile NamedFileOf(const Module& module);
// What identifies a module's content to the symbolizer's caches.
std::string SymbolCacheKey(const Module& module);
// The same of a process's perf map.
std::string PerfMapCacheKey(const ProcessKey& process);
// The same of its jitdump.
std::string JitDumpCacheKey(const ProcessKey& process);

class SymbolizerSource : public SymbolSource {
 public:
  SymbolizerSource(SymbolizerClient& symbolizer, KernelSymbols& kernel,
                   PerfMapSource& perf_maps)
      : symbolizer_(symbolizer), kernel_(kernel), perf_maps_(perf_maps) {}

  // No names for a module whose file could not be opened.
  ModuleSymbols SymbolizeModule(const Module& module,
                                std::span<const ModuleAddr> addresses,
                                DemangleStyle style,
                                Deadline deadline) override;
  ModuleSymbols SymbolizeKernel(std::span<const uint64_t> addresses) override;
  // By the jitdump, which may know lines, and for what it does not name by the
  // perf map.
  ModuleSymbols SymbolizeJit(const ProcessKey& process,
                             std::span<const uint64_t> addresses,
                             DemangleStyle style, Deadline deadline) override;

 private:
  SymbolizerClient& symbolizer_;
  KernelSymbols& kernel_;
  PerfMapSource& perf_maps_;
};

}  // namespace pprofd

#endif  // DAEMON_PROFILE_SYMBOLIZER_SOURCE_H_
