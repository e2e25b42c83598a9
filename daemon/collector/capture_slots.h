// CaptureSlots: which processes the kernel half samples at which period.
//
// Writes the table of abi.h in place while programs read it: a slot's contents
// are there before it is in use.
// Borrows: the table, in memory shared with the kernel half.
// Thread: one owner at a time.
// Bound: PPROFD_CAPTURE_SLOTS pairs of process and period; a pair whose bucket
//   is full is refused with Exhausted.
#ifndef DAEMON_COLLECTOR_CAPTURE_SLOTS_H_
#define DAEMON_COLLECTOR_CAPTURE_SLOTS_H_

#include <cstdint>
#include <span>

#include "bpf/abi.h"
#include "daemon/base/status.h"

namespace pprofd {

class CaptureSlots {
 public:
  CaptureSlots(std::span<pprofd_capture_slot, PPROFD_CAPTURE_SLOTS> slots,
               uint32_t* whole_host_captures)
      : slots_(slots), whole_host_captures_(whole_host_captures) {}

  // `pid` 0 is the whole host. Adding what is there already changes nothing.
  Status Add(int32_t pid, uint64_t period_ns);
  void Remove(int32_t pid, uint64_t period_ns);

 private:
  std::span<pprofd_capture_slot, PPROFD_CAPTURE_BUCKET_SLOTS> Bucket(
      int32_t pid, uint64_t period_ns);

  std::span<pprofd_capture_slot, PPROFD_CAPTURE_SLOTS> slots_;
  uint32_t* whole_host_captures_;
};

}  // namespace pprofd

#endif  // DAEMON_COLLECTOR_CAPTURE_SLOTS_H_
