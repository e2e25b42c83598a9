#include "daemon/profile/symbolizer_source.h"

#include <fmt/format.h>

namespace pprofd {

std::string SymbolCacheKey(const Module& module) {
  if (!module.build_id.empty()) return module.build_id.Hex();
  return fmt::format("file:{:x}:{}:{}:{}", module.key.device, module.key.inode,
                     module.key.generation, module.key.ctime_ns);
}

ModuleSymbols SymbolizerSource::SymbolizeModule(
    const Module& module, std::span<const ModuleAddr> addresses,
    DemangleStyle style, Deadline deadline) {
  if (!module.file) return {};
  return symbolizer_.SymbolizeModule(module.file.get(), SymbolCacheKey(module),
                                     module.path, module.root, addresses, style,
                                     deadline);
}

ModuleSymbols SymbolizerSource::SymbolizeKernel(
    std::span<const uint64_t> addresses) {
  return symbolizer_.SymbolizeKernel(addresses);
}

ModuleSymbols SymbolizerSource::SymbolizeJit(
    const ProcessKey& process, std::span<const uint64_t> addresses,
    DemangleStyle style) {
  UniqueFd map = perf_maps_.OpenPerfMap(process);
  if (!map) return {};
  return symbolizer_.SymbolizePerfMap(
      map.get(),
      fmt::format("perf-map:{}:{}", process.pid, process.start_ticks),
      addresses, style);
}

}  // namespace pprofd
