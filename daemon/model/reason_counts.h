// ReasonCounts: losses and cuts that happen in userspace, by the numbers of
// bpf/drop_reasons.def; the kernel half keeps its own.
//
// Thread: any; relaxed atomics.
#ifndef DAEMON_MODEL_REASON_COUNTS_H_
#define DAEMON_MODEL_REASON_COUNTS_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "bpf/abi.h"

namespace pprofd {

class ReasonCounts {
 public:
  void Add(uint32_t reason, uint64_t n = 1) {
    if (reason < counts_.size()) {
      counts_[reason].fetch_add(n, std::memory_order_relaxed);
    }
  }
  uint64_t Get(uint32_t reason) const {
    return reason < counts_.size()
               ? counts_[reason].load(std::memory_order_relaxed)
               : 0;
  }

 private:
  std::array<std::atomic<uint64_t>, PPROFD_MAX_REASONS> counts_{};
};

// The process-wide counts.
inline ReasonCounts& GlobalReasonCounts() {
  static ReasonCounts counts;
  return counts;
}

}  // namespace pprofd

#endif  // DAEMON_MODEL_REASON_COUNTS_H_
