#include "daemon/pipeline/profile_renderer.h"

#include <chrono>
#include <map>

#include "daemon/base/memory_policy.h"
#include "daemon/process/jit_dump_file.h"
#include "daemon/process/memory_stats.h"
#include "daemon/process/perf_map_file.h"
#include "daemon/profile/collapsed_encoder.h"
#include "daemon/profile/growth_text_encoder.h"
#include "daemon/profile/pprof_encoder.h"

namespace pprofd {
namespace {

// Clients wait little longer than they sample, `go tool pprof` 5.5 s after one
// second: names that come later are left out.
constexpr std::chrono::milliseconds kSymbolizeTime{4000};

// "" when the process is gone.
std::string ExecutableMaps(const std::optional<ProcessKey>& process) {
  if (!process) return "";
  Result<ProcessDir> dir = ProcessDir::Open(kProcRoot, *process);
  if (!dir.ok()) return "";
  Result<std::string> maps = ReadExecutableMaps(*dir);
  return maps.ok() ? std::move(*maps) : "";
}

SymbolSource::Deadline SymbolizeDeadline() {
  return std::chrono::steady_clock::now() + kSymbolizeTime;
}

}  // namespace

ModuleRef ProfileRenderer::FindModule(ModuleId id) {
  return parts_.modules.Find(id);
}

std::optional<ProcessInfo> ProfileRenderer::FindProcess(const ProcessKey& key) {
  return parts_.processes.Find(key);
}

UniqueFd ProfileRenderer::OpenPerfMap(const ProcessKey& key) {
  Result<UniqueFd> file = OpenPerfMapFile(key);
  return file.ok() ? std::move(*file) : UniqueFd();
}

UniqueFd ProfileRenderer::OpenJitDump(const ProcessKey& key) {
  Result<JitDumpFile> dump = OpenJitDumpFile(key);
  return dump.ok() ? std::move(dump->file) : UniqueFd();
}

Profile ProfileRenderer::Build(const Aggregate& aggregate, Subject subject,
                               const RenderOptions& options) {
  ProfileMeta meta;
  meta.kind = subject.kind;
  meta.start = parts_.clock.ToWall(subject.moment.value_or(aggregate.start));
  meta.duration_ns = aggregate.end.ns - aggregate.start.ns;
  meta.period = subject.period;
  meta.process = subject.process;
  meta.comments = std::move(subject.comments);
  meta.symbolize_deadline = SymbolizeDeadline();
  Profile profile =
      ProfileBuilder(*this, *this, symbols_).Build(aggregate, meta, options);
  ReturnFreeMemory();
  return profile;
}

Result<EncodedProfile> ProfileRenderer::Render(const Aggregate& aggregate,
                                               Subject subject,
                                               const RenderOptions& options) {
  std::optional<ProcessKey> process = subject.process;
  Profile profile = Build(aggregate, std::move(subject), options);
  EncodedProfile encoded;
  switch (options.format) {
    case ProfileFormat::kCollapsed:
      encoded.body = EncodeCollapsed(profile, options);
      break;
    case ProfileFormat::kText:
      encoded.body = EncodeGrowthText(profile, ExecutableMaps(process));
      break;
    case ProfileFormat::kPprof:
      ASSIGN_OR_RETURN(encoded.body, EncodePprof(profile));
      break;
  }
  return encoded;
}

std::vector<std::pair<uint64_t, std::string>> ProfileRenderer::LookUp(
    const ProcessInfo& process, const std::vector<uint64_t>& addresses) {
  std::vector<std::pair<uint64_t, std::string>> names;
  for (uint64_t address : addresses) {
    std::optional<Mapping> mapping =
        parts_.processes.FindMapping(process.key, {address});
    if (!mapping || mapping->module == ModuleId::kNone) continue;
    ModuleRef module = parts_.modules.Find(mapping->module);
    if (!module) continue;
    FileOffset offset{address - mapping->start.value + mapping->offset.value};
    std::optional<ModuleAddr> module_address = module->ToModuleAddr(offset);
    if (!module_address) continue;
    ModuleSymbols symbols =
        symbols_.SymbolizeModule(*module, {&*module_address, 1},
                                 DemangleStyle::kShort, SymbolizeDeadline());
    if (symbols.size() == 0 || symbols.Chain(0).empty()) continue;
    names.emplace_back(address, symbols.Chain(0).back().name);
  }
  return names;
}

}  // namespace pprofd
