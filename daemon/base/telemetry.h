// Telemetry: pprofd's own log and counters.
//
// Counters are named once, in an array of atomics indexed by an enum made from
// counters.def, so that adding one costs a row and reading one costs a load.
// The log goes to stderr, one line per event, rate-limited per call site by
// LOG_EVERY so that a hostile target cannot fill a disk.
// Thread: any thread; atomics, relaxed.
#ifndef DAEMON_BASE_TELEMETRY_H_
#define DAEMON_BASE_TELEMETRY_H_

#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pprofd {

enum class Counter : size_t {
#define COUNTER(name, text) name,
#include "daemon/base/counters.def"
  kCount,
};

struct CounterInfo {
  std::string_view name;  // snake_case, as shown to users
  std::string_view text;  // what it counts
};
const CounterInfo& Describe(Counter counter);

class Counters {
 public:
  void Add(Counter counter, uint64_t n = 1) {
    values_[static_cast<size_t>(counter)].fetch_add(n,
                                                    std::memory_order_relaxed);
  }
  // For gauges and totals that are kept elsewhere.
  void Set(Counter counter, uint64_t value) {
    values_[static_cast<size_t>(counter)].store(value,
                                                std::memory_order_relaxed);
  }
  uint64_t Get(Counter counter) const {
    return values_[static_cast<size_t>(counter)].load(
        std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<uint64_t>, static_cast<size_t>(Counter::kCount)>
      values_{};
};

// The process-wide set; tests of a unit that counts may Get before and after.
Counters& GlobalCounters();
inline void Count(Counter counter, uint64_t n = 1) {
  GlobalCounters().Add(counter, n);
}

// Runs `body` at most once per `interval` at this call site.
#define LOG_EVERY(interval, body)                                           \
  do {                                                                      \
    static std::atomic<int64_t> next_ns{0};                                 \
    int64_t now_ns = std::chrono::steady_clock::now().time_since_epoch() /  \
                     std::chrono::nanoseconds(1);                           \
    int64_t due_ns = next_ns.load(std::memory_order_relaxed);               \
    if (now_ns >= due_ns &&                                                 \
        next_ns.compare_exchange_strong(                                    \
            due_ns, now_ns + std::chrono::nanoseconds(interval).count())) { \
      body;                                                                 \
    }                                                                       \
  } while (false)

}  // namespace pprofd

#endif  // DAEMON_BASE_TELEMETRY_H_
