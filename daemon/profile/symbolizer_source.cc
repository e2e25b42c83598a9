#include "daemon/profile/symbolizer_source.h"

#include <fmt/format.h>

namespace pprofd {

std::string SymbolCacheKey(const Module& module) {
  // A build ID is the file's own word: alone it would let a forged file name
  // the functions of a good one.
  return fmt::format("{}:{:x}:{}:{}:{}", module.build_id.Hex(),
                     module.key.device, module.key.inode, module.key.generation,
                     module.key.ctime_ns);
}

NamedFile NamedFileOf(const Module& module) {
  return {.file = module.file.get(),
          .key = SymbolCacheKey(module),
          .path = module.path,
          .root = module.root};
}

std::string PerfMapCacheKey(const ProcessKey& process) {
  return fmt::format("perf-map:{}:{}", process.pid, process.start_ticks);
}

ModuleSymbols SymbolizerSource::SymbolizeModule(
    const Module& module, std::span<const ModuleAddr> addresses,
    DemangleStyle style, Deadline deadline) {
  if (!module.file) return {};
  return symbolizer_.SymbolizeModule(NamedFileOf(module), addresses, style,
                                     deadline);
}

ModuleSymbols SymbolizerSource::SymbolizeKernel(
    std::span<const uint64_t> addresses) {
  return kernel_.Symbolize(addresses);
}

ModuleSymbols SymbolizerSource::SymbolizeJit(
    const ProcessKey& process, std::span<const uint64_t> addresses,
    DemangleStyle style, Deadline deadline) {
  UniqueFd map = perf_maps_.OpenPerfMap(process);
  if (!map) return {};
  return symbolizer_.SymbolizePerfMap(map.get(), PerfMapCacheKey(process),
                                      addresses, style, deadline);
}

}  // namespace pprofd
