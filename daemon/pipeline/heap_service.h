// HeapService: heap profiles of this host's processes.
//
// Borrows: every part; all outlive it.
// Thread: any.
#ifndef DAEMON_PIPELINE_HEAP_SERVICE_H_
#define DAEMON_PIPELINE_HEAP_SERVICE_H_

#include <memory>
#include <string>
#include <vector>

#include "daemon/model/heap_snapshot.h"
#include "daemon/model/profile_service.h"
#include "daemon/pipeline/heap_manager.h"
#include "daemon/pipeline/profile_renderer.h"
#include "daemon/process/process_table.h"

namespace pprofd {

class HeapService {
 public:
  struct Parts {
    HeapManager& heap;
    ProcessTable& processes;
    ProfileRenderer& renderer;
    const Clock& clock;
    std::string host;  // a line of comment
  };
  explicit HeapService(Parts parts) : parts_(std::move(parts)) {}

  // As ProfileService says.
  Result<std::unique_ptr<HeapWatch>> Watch(const HeapRequest& request);
  bool TargetExited(const HeapWatch& watch) const;
  Result<EncodedProfile> Render(const HeapWatch& watch, const HeapView& view,
                                const RenderOptions& options);
  uint64_t CountRecords(int32_t pid) const;

 private:
  class LocalWatch;

  HeapSnapshot Read(const LocalWatch& watch, const HeapView& view) const;
  std::string NameOf(const ProcessKey& key) const;
  std::vector<std::string> Comment(const HeapSnapshot& snapshot,
                                   const HeapView& view) const;
  std::string RenderText(const HeapSnapshot& snapshot,
                         ProfileRenderer::Subject subject,
                         const RenderOptions& options);

  const Parts parts_;
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_HEAP_SERVICE_H_
