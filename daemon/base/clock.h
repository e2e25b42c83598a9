// Clock: boot time and wall time, as different types.
//
// Events are stamped by the kernel in CLOCK_BOOTTIME; users speak wall time.
// Both are nanoseconds. Converting uses the offset of the moment, so a stepped
// wall clock moves the labels of past windows, never their order.
// Thread: immutable (SystemClock), one thread (FakeClock).
#ifndef DAEMON_BASE_CLOCK_H_
#define DAEMON_BASE_CLOCK_H_

#include <compare>
#include <cstdint>

namespace pprofd {

struct BootTime {
  int64_t ns = 0;
  auto operator<=>(const BootTime&) const = default;
};
struct WallTime {
  int64_t ns = 0;  // since the Unix epoch, UTC
  auto operator<=>(const WallTime&) const = default;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual BootTime Boot() const = 0;
  virtual WallTime Wall() const = 0;

  WallTime ToWall(BootTime time) const {
    return {time.ns + (Wall().ns - Boot().ns)};
  }
  BootTime ToBoot(WallTime time) const {
    return {time.ns - (Wall().ns - Boot().ns)};
  }
};

class SystemClock : public Clock {
 public:
  BootTime Boot() const override;
  WallTime Wall() const override;
};

// For tests: time passes when told to.
class FakeClock : public Clock {
 public:
  BootTime Boot() const override { return boot_; }
  WallTime Wall() const override { return {boot_.ns + wall_offset_ns_}; }
  void Advance(int64_t ns) { boot_.ns += ns; }

 private:
  BootTime boot_{1'000'000'000};
  int64_t wall_offset_ns_ = 1'700'000'000'000'000'000;
};

}  // namespace pprofd

#endif  // DAEMON_BASE_CLOCK_H_
