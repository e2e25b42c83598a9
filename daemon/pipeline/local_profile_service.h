// LocalProfileService: ProfileService out of this host's own samples.
//
// Borrows: every stage; all outlive it.
// Thread: any, as ProfileService says.
#ifndef DAEMON_PIPELINE_LOCAL_PROFILE_SERVICE_H_
#define DAEMON_PIPELINE_LOCAL_PROFILE_SERVICE_H_

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/aggregate/histories.h"
#include "daemon/collector/bpf_program.h"
#include "daemon/collector/cpu_sampler.h"
#include "daemon/model/profile_service.h"
#include "daemon/pipeline/capture_registry.h"
#include "daemon/pipeline/collection.h"
#include "daemon/pipeline/coverage_table.h"
#include "daemon/pipeline/heap_service.h"
#include "daemon/pipeline/process_explainer.h"
#include "daemon/pipeline/profile_renderer.h"
#include "daemon/pipeline/sample_service.h"

namespace pprofd {

class LocalProfileService : public ProfileService {
 public:
  struct Parts {
    BpfProgram& program;
    CpuSampler& sampler;
    Histories& histories;
    CaptureRegistry& captures;
    CoverageTable& coverage;
    ProcessTable& processes;
    ProfileRenderer& renderer;
    ProcessExplainer& explainer;
    HeapManager& heap;
    // Returns when everything sampled before has reached history and captures.
    std::function<void()> catch_up;
    const Clock& clock;
    const Collections& collections;
  };
  explicit LocalProfileService(const Parts& parts);

  std::vector<ProcessRow> ListProcesses() override;
  Result<ProcessRow> DescribeProcess(int32_t pid) override;
  Result<std::string> CommandLine(int32_t pid) override;
  Result<ProcessDiagnostics> DiagnoseProcess(int32_t pid) override;
  Result<ProcessExplanation> ExplainProcess(int32_t pid) override;
  std::vector<NamedCount> HostCounters() override;
  Result<std::unique_ptr<Capture>> StartCapture(
      const CaptureRequest& request) override;
  bool TargetExited(const Capture& capture) override;
  Result<EncodedProfile> FinishCapture(std::unique_ptr<Capture> capture,
                                       const RenderOptions& options) override;
  Result<EncodedProfile> QueryHistory(const HistoryRequest& request,
                                      const RenderOptions& options) override;
  Result<std::unique_ptr<HeapWatch>> WatchHeap(
      const HeapRequest& request) override;
  bool TargetExited(const HeapWatch& watch) override;
  Result<EncodedProfile> RenderHeap(const HeapWatch& watch,
                                    const HeapView& view,
                                    const RenderOptions& options) override;
  std::vector<std::pair<uint64_t, std::string>> LookUpSymbols(
      int32_t pid, const std::vector<uint64_t>& addresses) override;
  std::string HostDescription() override;

 private:
  std::array<uint64_t, kProfileKinds> CountRecords(const ProcessKey& key) const;
  // Whether rss tells something of it.
  bool HasRss(int32_t pid) const;

  const Parts parts_;
  const std::string host_;
  SampleService samples_;
  HeapService heap_;
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_LOCAL_PROFILE_SERVICE_H_
