// SampleService: profiles of the kinds that are always on.
//
// A query for what comes waits for samples of its own, one for what was reads
// history. Both are made for any row of the table of kinds with a history.
// Borrows: every part; all outlive it.
// Thread: any.
#ifndef DAEMON_PIPELINE_SAMPLE_SERVICE_H_
#define DAEMON_PIPELINE_SAMPLE_SERVICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/aggregate/histories.h"
#include "daemon/collector/bpf_program.h"
#include "daemon/collector/cpu_sampler.h"
#include "daemon/model/profile_service.h"
#include "daemon/pipeline/capture_registry.h"
#include "daemon/pipeline/collection.h"
#include "daemon/pipeline/coverage_table.h"
#include "daemon/pipeline/profile_renderer.h"
#include "daemon/process/process_table.h"

namespace pprofd {

class SampleService {
 public:
  struct Parts {
    BpfProgram& program;
    CpuSampler& sampler;
    Histories& histories;
    CaptureRegistry& captures;
    CoverageTable& coverage;
    ProcessTable& processes;
    ProfileRenderer& renderer;
    // Returns when everything sampled before has reached history and captures.
    std::function<void()> catch_up;
    const Clock& clock;
    const Collections& collections;
    std::string host;  // a line of comment
  };
  explicit SampleService(Parts parts) : parts_(std::move(parts)) {}

  // As ProfileService says.
  Result<std::unique_ptr<Capture>> StartCapture(const CaptureRequest& request);
  bool TargetExited(const Capture& capture) const;
  Result<EncodedProfile> FinishCapture(std::unique_ptr<Capture> capture,
                                       const RenderOptions& options);
  Result<EncodedProfile> QueryHistory(const HistoryRequest& request,
                                      const RenderOptions& options);
  // Different stacks of a process in the history of a kind.
  uint64_t CountStacks(ProfileKind kind, const ProcessKey& process) const;

 private:
  class LocalCapture;

  const Collection& CollectionOf(ProfileKind kind) const {
    return parts_.collections[static_cast<size_t>(kind)];
  }
  // Unsupported when nothing of the kind is sampled, or cannot be of `process`.
  Status CheckKind(ProfileKind kind,
                   const std::optional<ProcessKey>& process) const;
  std::vector<std::string> Comment(ProfileKind kind,
                                   const std::optional<ProcessKey>& process,
                                   const std::string& how,
                                   const Aggregate& aggregate) const;
  std::optional<std::string> CommentCoverage(const ProcessKey& process) const;

  const Parts parts_;
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_SAMPLE_SERVICE_H_
