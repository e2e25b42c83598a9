#include "daemon/base/clock.h"

#include <ctime>

namespace pprofd {
namespace {

int64_t ReadClock(clockid_t id) {
  timespec now;
  clock_gettime(id, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

BootTime SystemClock::Boot() const { return {ReadClock(CLOCK_BOOTTIME)}; }
WallTime SystemClock::Wall() const { return {ReadClock(CLOCK_REALTIME)}; }

}  // namespace pprofd
