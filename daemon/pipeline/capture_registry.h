// CaptureRegistry: which samples belong to which waiting query.
//
// Several queries may share the samples of one event; each has its own buffer.
// CPU time has events for captures; of the other kinds the samples that are
// taken anyway serve.
// Owns: shares of the buffers. Borrows: nothing.
// Thread: locks itself (mutex_); the reader and process threads deliver.
// Bound: as many as CpuSampler lets begin.
#ifndef DAEMON_PIPELINE_CAPTURE_REGISTRY_H_
#define DAEMON_PIPELINE_CAPTURE_REGISTRY_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "daemon/aggregate/capture_buffer.h"
#include "daemon/model/sample.h"

namespace pprofd {

// What one query waits for.
struct CaptureTarget {
  ProfileKind kind = ProfileKind::kCpu;
  std::optional<ProcessKey> process;  // nothing = the whole host
  int64_t period_ns = 0;              // of kCpu
  BootTime start;
  std::shared_ptr<CaptureBuffer> buffer;
};

class CaptureRegistry {
 public:
  void Add(std::shared_ptr<const CaptureTarget> target);
  void Remove(const std::shared_ptr<const CaptureTarget>& target);

  // Appends a sample to every query it belongs to.
  void Deliver(const Sample& sample);

  // What waiting queries will need to describe.
  std::vector<ModuleId> ModulesInUse() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const CaptureTarget>> targets_;  // mutex_
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_CAPTURE_REGISTRY_H_
