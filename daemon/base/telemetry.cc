#include "daemon/base/telemetry.h"

namespace pprofd {
namespace {

constexpr std::array<CounterInfo, static_cast<size_t>(Counter::kCount)>
    kCounterInfos = {{
#define COUNTER(name, text) {#name, text},
#include "daemon/base/counters.def"
    }};

}  // namespace

const CounterInfo& Describe(Counter counter) {
  return kCounterInfos[static_cast<size_t>(counter)];
}

Counters& GlobalCounters() {
  static Counters counters;
  return counters;
}

}  // namespace pprofd
