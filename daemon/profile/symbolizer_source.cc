#include "daemon/profile/symbolizer_source.h"

#include <fmt/format.h>

#include <vector>

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

std::string JitDumpCacheKey(const ProcessKey& process) {
  return fmt::format("jitdump:{}:{}", process.pid, process.start_ticks);
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
  ModuleSymbols by_dump;
  if (UniqueFd dump = perf_maps_.OpenJitDump(process)) {
    by_dump = symbolizer_.SymbolizeJitDump(dump.get(), JitDumpCacheKey(process),
                                           addresses, style, deadline);
  }
  std::vector<uint64_t> left;
  for (size_t i = 0; i < addresses.size(); ++i) {
    if (by_dump.Chain(i).empty()) left.push_back(addresses[i]);
  }
  if (left.empty()) return by_dump;
  UniqueFd map = perf_maps_.OpenPerfMap(process);
  if (!map) return by_dump;
  ModuleSymbols by_map = symbolizer_.SymbolizePerfMap(
      map.get(), PerfMapCacheKey(process), left, style, deadline);
  if (left.size() == addresses.size()) return by_map;
  ModuleSymbols both;
  both.has_filenames = by_dump.has_filenames || by_map.has_filenames;
  both.has_line_numbers = by_dump.has_line_numbers;
  both.problem = by_dump.problem;
  for (size_t i = 0, next_left = 0; i < addresses.size(); ++i) {
    SymbolChain chain = by_dump.Chain(i);
    both.AddChain(chain.empty() ? by_map.Chain(next_left++) : chain);
  }
  return both;
}

}  // namespace pprofd
