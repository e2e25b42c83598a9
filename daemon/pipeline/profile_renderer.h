// ProfileRenderer: an aggregate to the bytes a client gets.
//
// Borrows: tables and symbolizer.
// Thread: any; keeps no state but what its parts lock themselves.
#ifndef DAEMON_PIPELINE_PROFILE_RENDERER_H_
#define DAEMON_PIPELINE_PROFILE_RENDERER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/base/clock.h"
#include "daemon/model/aggregate.h"
#include "daemon/model/profile_service.h"
#include "daemon/process/module_table.h"
#include "daemon/process/process_table.h"
#include "daemon/profile/profile_builder.h"
#include "daemon/profile/symbolizer_source.h"

namespace pprofd {

class ProfileRenderer : private ModuleProvider,
                        private ProcessSource,
                        private PerfMapSource {
 public:
  struct Parts {
    ModuleTable& modules;
    ProcessTable& processes;
    SymbolizerClient& symbolizer;
    KernelSymbols& kernel;
    const Clock& clock;
  };
  explicit ProfileRenderer(const Parts& parts)
      : parts_(parts), symbols_(parts.symbolizer, parts.kernel, *this) {}

  // What an aggregate does not say. `process`: the one process asked for;
  // nothing = the whole host.
  struct Subject {
    ProfileKind kind = ProfileKind::kCpu;
    std::optional<ProcessKey> process;
    int64_t period = 0;
    // When, instead of the time of the aggregate: a moment.
    std::optional<BootTime> moment;
    std::vector<std::string> comments;
  };
  Profile Build(const Aggregate& aggregate, Subject subject,
                const RenderOptions& options);
  // kText: REQUIRES: of kind kRss.
  Result<EncodedProfile> Render(const Aggregate& aggregate, Subject subject,
                                const RenderOptions& options);

  // Names of virtual addresses of a process, as they are; unknown ones are left
  // out.
  std::vector<std::pair<uint64_t, std::string>> LookUp(
      const ProcessInfo& process, const std::vector<uint64_t>& addresses);

 private:
  ModuleRef FindModule(ModuleId id) override;
  std::optional<ProcessInfo> FindProcess(const ProcessKey& key) override;
  UniqueFd OpenPerfMap(const ProcessKey& key) override;
  UniqueFd OpenJitDump(const ProcessKey& key) override;

  const Parts parts_;
  SymbolizerSource symbols_;
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_PROFILE_RENDERER_H_
