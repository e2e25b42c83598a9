#include "daemon/pipeline/capture_registry.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

constexpr int64_t kPeriod = 10'000'000;

Sample CaptureSample(ProcessKey process, int64_t time_ns, int64_t period_ns) {
  Sample sample;
  sample.is_capture = true;
  sample.process = process;
  sample.time = {time_ns};
  sample.value = period_ns;
  sample.result = UnwindResult::kComplete;
  sample.stack = {Frame::Address({0x1000}, false)};
  return sample;
}

std::shared_ptr<CaptureTarget> Target(std::optional<ProcessKey> process) {
  auto target = std::make_shared<CaptureTarget>();
  target->process = process;
  target->period_ns = kPeriod;
  target->start = {100};
  target->buffer = std::make_shared<CaptureBuffer>(target->start);
  return target;
}

int64_t Samples(const CaptureTarget& target) {
  return target.buffer->Finish({1000}, {}, 0).samples;
}

TEST(CaptureRegistry, GivesASampleToEveryQueryOfItsProcess) {
  CaptureRegistry registry;
  auto first = Target(ProcessKey{7, 1});
  auto second = Target(ProcessKey{7, 1});
  auto host = Target(std::nullopt);
  auto other = Target(ProcessKey{8, 1});
  for (const auto& target : {first, second, host, other}) registry.Add(target);
  registry.Deliver(CaptureSample({7, 1}, 200, kPeriod));
  EXPECT_EQ(Samples(*first), 1);
  EXPECT_EQ(Samples(*second), 1);
  EXPECT_EQ(Samples(*host), 1);
  EXPECT_EQ(Samples(*other), 0);
}

TEST(CaptureRegistry, KeepsRatesApart) {
  CaptureRegistry registry;
  auto target = Target(ProcessKey{7, 1});
  registry.Add(target);
  registry.Deliver(CaptureSample({7, 1}, 200, kPeriod / 2));
  EXPECT_EQ(Samples(*target), 0);
}

TEST(CaptureRegistry, KeepsKindsApart) {
  CaptureRegistry registry;
  auto cpu = Target(ProcessKey{7, 1});
  auto rss = Target(ProcessKey{7, 1});
  rss->kind = ProfileKind::kRss;
  registry.Add(cpu);
  registry.Add(rss);
  Sample fault = CaptureSample({7, 1}, 200, kPeriod);
  fault.kind = ProfileKind::kRss;
  registry.Deliver(fault);
  EXPECT_EQ(Samples(*cpu), 0);
  EXPECT_EQ(Samples(*rss), 1);
  registry.Deliver(CaptureSample({7, 1}, 200, kPeriod));
  EXPECT_EQ(Samples(*cpu), 1);
  EXPECT_EQ(Samples(*rss), 1);
}

TEST(CaptureRegistry, TellsAReusedPidApart) {
  CaptureRegistry registry;
  auto target = Target(ProcessKey{7, 1});
  registry.Add(target);
  registry.Deliver(CaptureSample({7, 2}, 200, kPeriod));
  EXPECT_EQ(Samples(*target), 0);
}

TEST(CaptureRegistry, LeavesOutWhatWasSampledBeforeTheQuery) {
  CaptureRegistry registry;
  auto target = Target(ProcessKey{7, 1});
  registry.Add(target);
  registry.Deliver(CaptureSample({7, 1}, 99, kPeriod));
  EXPECT_EQ(Samples(*target), 0);
}

TEST(CaptureRegistry, ForgetsARemovedQuery) {
  CaptureRegistry registry;
  auto target = Target(ProcessKey{7, 1});
  registry.Add(target);
  registry.Remove(target);
  registry.Deliver(CaptureSample({7, 1}, 200, kPeriod));
  EXPECT_EQ(Samples(*target), 0);
}

}  // namespace
}  // namespace pprofd
