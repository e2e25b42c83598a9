// SymbolizerSource: the SymbolSource that is a Symbolizer.
//
// Owns: nothing. Borrows: Symbolizer, KernelSymbols, PerfMapSource.
// Thread: as safe as what it borrows.
#ifndef DAEMON_PROFILE_SYMBOLIZER_SOURCE_H_
#define DAEMON_PROFILE_SYMBOLIZER_SOURCE_H_

#include <string>

#include "daemon/profile/profile_sources.h"
#include "symbolizer/kernel_symbols.h"
#include "symbolizer/symbolizer.h"

namespace pprofd {

// What identifies a module's content to the symbolizer's caches.
std::string SymbolCacheKey(const Module& module);
// The same of a process's perf map.
std::string PerfMapCacheKey(const ProcessKey& process);

class SymbolizerSource : public SymbolSource {
 public:
  SymbolizerSource(Symbolizer& symbolizer, KernelSymbols& kernel,
                   PerfMapSource& perf_maps)
      : symbolizer_(symbolizer), kernel_(kernel), perf_maps_(perf_maps) {}

  // No names for a module whose file could not be opened.
  ModuleSymbols SymbolizeModule(const Module& module,
                                std::span<const ModuleAddr> addresses,
                                DemangleStyle style,
                                Deadline deadline) override;
  ModuleSymbols SymbolizeKernel(std::span<const uint64_t> addresses) override;
  ModuleSymbols SymbolizeJit(const ProcessKey& process,
                             std::span<const uint64_t> addresses,
                             DemangleStyle style) override;

 private:
  Symbolizer& symbolizer_;
  KernelSymbols& kernel_;
  PerfMapSource& perf_maps_;
};

}  // namespace pprofd

#endif  // DAEMON_PROFILE_SYMBOLIZER_SOURCE_H_
