// HeapBudget: when the calls of a process may be watched, given what they cost.
//
// CPU time is granted at a steady rate and saved up to kSavedTime's worth, so
// that a short burst is watched whole. When it is spent, the process is watched
// in windows of kWindow, each followed by as much time as pays for it; their
// samples then stand for the time around them, too.
// Thread: one thread at a time.
#ifndef DAEMON_PIPELINE_HEAP_BUDGET_H_
#define DAEMON_PIPELINE_HEAP_BUDGET_H_

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace pprofd {

class HeapBudget {
 public:
  using Nanoseconds = std::chrono::nanoseconds;
  static constexpr Nanoseconds kWindow = std::chrono::milliseconds(100);
  static constexpr Nanoseconds kSavedTime = std::chrono::seconds(30);
  static constexpr Nanoseconds kMinGap = std::chrono::seconds(1);
  static constexpr Nanoseconds kMaxGap = std::chrono::seconds(60);

  explicit HeapBudget(double cpus) : cpus_(cpus), saved_(Worth(kSavedTime)) {}

  // Books what was watched all of `elapsed` long. False: it is spent.
  [[nodiscard]] bool Book(Nanoseconds elapsed, Nanoseconds cost) {
    saved_ = std::min(saved_ + Worth(elapsed), Worth(kSavedTime)) - cost;
    return saved_ >= Nanoseconds(0);
  }

  // How long to wait behind a window that lasted and cost this.
  Nanoseconds GapAfter(Nanoseconds window, Nanoseconds cost) const {
    auto pays = Nanoseconds(
        static_cast<int64_t>(static_cast<double>(cost.count()) / cpus_));
    return std::clamp(pays - window, kMinGap, kMaxGap);
  }

  // Whether a process whose window cost this can be watched all the time; with
  // room for the frees, which a window leaves out.
  bool Affords(Nanoseconds window, Nanoseconds cost) const {
    return cost * 4 <= Worth(window);
  }
  // After windows: begin with what one second grants, so that a burst that is
  // back ends soon.
  void Reset() { saved_ = Worth(std::chrono::seconds(1)); }

 private:
  Nanoseconds Worth(Nanoseconds time) const {
    return Nanoseconds(
        static_cast<int64_t>(static_cast<double>(time.count()) * cpus_));
  }

  double cpus_;
  Nanoseconds saved_;
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_HEAP_BUDGET_H_
