// NewestFirstGate: lets one caller in at a time, the one that came last first.
//
// Whoever has waited longest is closest to giving up; its answer helps least.
// Thread: any.
// Bound: kMaxWaiting; one more turns away the one that has waited longest.
#ifndef DAEMON_SYMBOLIZER_CLIENT_NEWEST_FIRST_GATE_H_
#define DAEMON_SYMBOLIZER_CLIENT_NEWEST_FIRST_GATE_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace pprofd {

class NewestFirstGate {
 public:
  static constexpr size_t kMaxWaiting = 64;

  // False when turned away or at the deadline.
  bool Enter(std::chrono::steady_clock::time_point deadline);
  // REQUIRES: this caller has entered.
  void Leave();
  size_t waiting() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  bool is_taken_ = false;
  uint64_t tickets_ = 0;
  std::vector<uint64_t> waiting_;  // oldest first
};

}  // namespace pprofd

#endif  // DAEMON_SYMBOLIZER_CLIENT_NEWEST_FIRST_GATE_H_
