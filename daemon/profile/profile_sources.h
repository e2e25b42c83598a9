// Profile sources: what a profile needs to know beyond its aggregate.
//
// Small interfaces, so that the builder knows no table, no /proc and no ELF.
// Thread: implementations answer from any thread.
#ifndef DAEMON_PROFILE_PROFILE_SOURCES_H_
#define DAEMON_PROFILE_PROFILE_SOURCES_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"
#include "daemon/model/module.h"
#include "daemon/model/process_info.h"
#include "daemon/model/profile_service.h"
#include "symbolizer/symbols.h"

namespace pprofd {

class ModuleProvider {
 public:
  virtual ~ModuleProvider() = default;
  // Null when the number is not known.
  virtual ModuleRef FindModule(ModuleId id) = 0;
};
// The short name; the symbolizer has an inner class of the same name, with
// which the class itself must not be confused by the linker.

class ProcessSource {
 public:
  virtual ~ProcessSource() = default;
  virtual std::optional<ProcessInfo> FindProcess(const ProcessKey& key) = 0;
};

// What a process writes down of the code that it makes.
class PerfMapSource {
 public:
  virtual ~PerfMapSource() = default;
  // /tmp/perf-PID.map as the process itself would write it: its pid and /tmp
  // inside its own namespaces. Null when there is none.
  virtual UniqueFd OpenPerfMap(const ProcessKey& key) = 0;
  // The jitdump that the process has mapped. Null when there is none.
  virtual UniqueFd OpenJitDump(const ProcessKey& key) = 0;
};

// Names for addresses; the chains answered are parallel to the addresses.
class SymbolSource {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  virtual ~SymbolSource() = default;
  virtual ModuleSymbols SymbolizeModule(const Module& module,
                                        std::span<const ModuleAddr> addresses,
                                        DemangleStyle style,
                                        Deadline deadline) = 0;
  virtual ModuleSymbols SymbolizeKernel(
      std::span<const uint64_t> addresses) = 0;
  // Code that a process made for itself.
  virtual ModuleSymbols SymbolizeJit(const ProcessKey& process,
                                     std::span<const uint64_t> addresses,
                                     DemangleStyle style,
                                     Deadline deadline) = 0;
};

}  // namespace pprofd

#endif  // DAEMON_PROFILE_PROFILE_SOURCES_H_
