// SampleForTest: samples with the few fields that a test is about.
#ifndef DAEMON_AGGREGATE_SAMPLE_FOR_TEST_H_
#define DAEMON_AGGREGATE_SAMPLE_FOR_TEST_H_

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/model/sample.h"

namespace pprofd {

inline constexpr int64_t kSecond = 1'000'000'000;
inline constexpr int64_t kPeriodNs = 10'000'000;

inline Frame FileFrame(uint32_t module, uint64_t offset,
                       bool is_return_address = true) {
  return Frame::File(static_cast<ModuleId>(module), {offset},
                     is_return_address);
}

inline Comm MakeComm(std::string_view text) {
  Comm comm{};
  std::copy_n(text.begin(), std::min(text.size(), comm.size()), comm.begin());
  return comm;
}

inline Sample SampleAt(int64_t time_ns, int32_t pid, std::vector<Frame> stack) {
  Sample sample;
  sample.time = {time_ns};
  sample.process = {pid, 100};
  sample.tid = pid;
  sample.comm = MakeComm("worker");
  sample.value = kPeriodNs;
  sample.result = UnwindResult::kComplete;
  sample.stack = std::move(stack);
  return sample;
}

}  // namespace pprofd

#endif  // DAEMON_AGGREGATE_SAMPLE_FOR_TEST_H_
