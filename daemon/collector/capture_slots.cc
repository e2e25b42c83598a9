#include "daemon/collector/capture_slots.h"

#include <atomic>

namespace pprofd {
namespace {

bool Holds(const pprofd_capture_slot& slot, int32_t pid, uint64_t period_ns) {
  return slot.in_use != 0 && slot.tgid == static_cast<uint32_t>(pid) &&
         slot.period_ns == period_ns;
}

}  // namespace

std::span<pprofd_capture_slot, PPROFD_CAPTURE_BUCKET_SLOTS>
CaptureSlots::Bucket(int32_t pid, uint64_t period_ns) {
  size_t first = pprofd_capture_bucket(static_cast<uint32_t>(pid), period_ns);
  return std::span<pprofd_capture_slot, PPROFD_CAPTURE_BUCKET_SLOTS>(
      &slots_[first], PPROFD_CAPTURE_BUCKET_SLOTS);
}

Status CaptureSlots::Add(int32_t pid, uint64_t period_ns) {
  pprofd_capture_slot* free_slot = nullptr;
  for (pprofd_capture_slot& slot : Bucket(pid, period_ns)) {
    if (Holds(slot, pid, period_ns)) return Status::Ok();
    if (slot.in_use == 0) free_slot = &slot;
  }
  if (free_slot == nullptr) {
    return Status(StatusCode::kExhausted, "too many concurrent profiles");
  }
  free_slot->tgid = static_cast<uint32_t>(pid);
  free_slot->period_ns = period_ns;
  std::atomic_ref(free_slot->in_use).store(1, std::memory_order_release);
  if (pid == 0) ++*whole_host_captures_;
  return Status::Ok();
}

void CaptureSlots::Remove(int32_t pid, uint64_t period_ns) {
  for (pprofd_capture_slot& slot : Bucket(pid, period_ns)) {
    if (!Holds(slot, pid, period_ns)) continue;
    std::atomic_ref(slot.in_use).store(0, std::memory_order_release);
    if (pid == 0) --*whole_host_captures_;
  }
}

}  // namespace pprofd
