#include "daemon/base/urgency.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace pprofd {
namespace {

constexpr int kNice = -15;
constexpr uint64_t kSliceNs = 100'000;  // the least that kernels accept

// struct sched_attr of linux/sched/types.h, which cannot be included beside
// sched.h.
struct SchedulingAttributes {
  uint32_t size = sizeof(SchedulingAttributes);
  uint32_t policy = SCHED_OTHER;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;
  uint64_t deadline = 0;
  uint64_t period = 0;
};
static_assert(sizeof(SchedulingAttributes) == 48);

}  // namespace

void MakeUrgent(pid_t thread) {
  SchedulingAttributes attributes{.nice = kNice, .runtime = kSliceNs};
  if (syscall(SYS_sched_setattr, thread, &attributes, 0) == 0) return;
  // Short slices are everybody's right.
  attributes.nice = getpriority(PRIO_PROCESS, static_cast<id_t>(thread));
  syscall(SYS_sched_setattr, thread, &attributes, 0);
}

}  // namespace pprofd
