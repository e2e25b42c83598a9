#include "daemon/pipeline/sample_router.h"

#include <gtest/gtest.h>

#include "daemon/model/reason_counts.h"
#include "daemon/unwind/fake_map_writer.h"

namespace pprofd {
namespace {

constexpr ProcessKey kProcess{7, 1};
constexpr int64_t kPeriod = 10'000'000;

Sample FinishedSample(bool is_capture) {
  Sample sample;
  sample.is_capture = is_capture;
  sample.process = kProcess;
  sample.tid = kProcess.pid;
  sample.time = {1'000'000'000};
  sample.value = kPeriod;
  sample.result = UnwindResult::kComplete;
  sample.stack = {Frame::Address({0x1000}, false)};
  return sample;
}

Sample SampleWithCopiedStack() {
  Sample sample = FinishedSample(false);
  sample.result = UnwindResult::kTruncated;
  sample.reason = PPROFD_REASON_MODULE_PENDING;
  sample.stack.push_back(Frame::Reason(sample.reason, ModuleId::kNone));
  sample.raw.emplace_back();
  return sample;
}

class FakeHeap : public HeapSink {
 public:
  void OnAllocSeen(const Sample&) override { ++seen; }
  void OnAlloc(const Sample&) override { ++allocs; }
  void OnFree(const FreeEvent&) override { ++frees; }
  void OnExec(const ExecEvent&) override { ++execs; }

  int seen = 0;
  int allocs = 0;
  int frees = 0;
  int execs = 0;
};

class SampleRouterTest : public testing::Test {
 protected:
  SampleRouterTest()
      : symbolizer_(
            SymbolizerClient::Start({.process = {.program = PPROFD_SYMBOLIZER,
                                                 .role = "test",
                                                 .debug_roots = {}}})
                .value()),
        modules_({}),
        processes_({}, &modules_),
        histories_({}),
        worker_(
            {.maps = maps_,
             .modules = modules_,
             .processes = processes_,
             .symbolizer = *symbolizer_,
             .clock = clock_,
             .deliver = [](const Sample&) {},
             .keep_house = [] {},
             .take_number = [] { return ModuleId::kNone; },
             .modules_in_use = [] { return absl::flat_hash_set<ModuleId>(); }},
            {}),
        router_({histories_, captures_, coverage_, processes_}) {
    router_.SetWorker(&worker_);
    router_.SetHeap(&heap_);
    target_->process = kProcess;
    target_->period_ns = kPeriod;
    target_->buffer = std::make_shared<CaptureBuffer>(BootTime{0});
    captures_.Add(target_);
  }

  Aggregate Past(ProfileKind kind = ProfileKind::kCpu) const {
    return histories_.Of(kind).Query({0}, {INT64_MAX / 2}, {}, {});
  }
  int64_t Captured() const {
    return target_->buffer->Finish({INT64_MAX / 2}, {}, 0).samples;
  }

  FakeMapWriter maps_;
  FakeClock clock_;
  std::unique_ptr<SymbolizerClient> symbolizer_;
  ModuleTable modules_;
  ProcessTable processes_;
  Histories histories_;
  CaptureRegistry captures_;
  CoverageTable coverage_;
  FakeHeap heap_;
  std::shared_ptr<CaptureTarget> target_ = std::make_shared<CaptureTarget>();
  ProcessWorker worker_;  // never started: its queue keeps what it gets
  SampleRouter router_;
};

TEST_F(SampleRouterTest, ASampleOfACaptureIsNotOfThePast) {
  router_.OnSample(FinishedSample(true));
  EXPECT_EQ(Captured(), 1);
  EXPECT_EQ(Past().samples, 0);
  EXPECT_FALSE(coverage_.Find(kProcess).has_value());
}

TEST_F(SampleRouterTest, AnAlwaysOnSampleIsOfNoCapture) {
  router_.OnSample(FinishedSample(false));
  EXPECT_EQ(Past().samples, 1);
  EXPECT_EQ(Captured(), 0);
  ASSERT_TRUE(coverage_.Find(kProcess).has_value());
  EXPECT_EQ(coverage_.Find(kProcess)->sampled_ns, kPeriod);
}

TEST_F(SampleRouterTest, ACopiedStackWaitsToBeFinished) {
  router_.OnSample(SampleWithCopiedStack());
  EXPECT_EQ(Past().samples, 0);
}

TEST_F(SampleRouterTest, AFullQueueKeepsTheSampleAndSaysWhyItIsCut) {
  uint64_t before = GlobalReasonCounts().Get(PPROFD_REASON_DEFERRED_FULL);
  for (size_t i = 0; i < ProcessWorker::kMaxDeferred + 3; ++i) {
    router_.OnSample(SampleWithCopiedStack());
  }
  EXPECT_EQ(GlobalReasonCounts().Get(PPROFD_REASON_DEFERRED_FULL), before + 3);
  Aggregate past = Past();
  ASSERT_EQ(past.samples, 3);
  ASSERT_EQ(past.rows.size(), 1u);
  const std::vector<Frame>& stack = past.stacks[past.rows[0].stack];
  ASSERT_EQ(stack.size(), 2u);
  EXPECT_EQ(stack.back().bits(),
            Frame::Reason(PPROFD_REASON_DEFERRED_FULL, ModuleId::kNone).bits());
}

// Its free may come before its stack is whole.
TEST_F(SampleRouterTest, ABlockIsKnownBeforeItsStackIs) {
  Sample block = SampleWithCopiedStack();
  block.kind = ProfileKind::kHeap;
  router_.OnSample(block);
  EXPECT_EQ(heap_.seen, 1);
  EXPECT_EQ(heap_.allocs, 0);
}

TEST_F(SampleRouterTest, SampledBlocksAreNoCpuTime) {
  Sample block = FinishedSample(false);
  block.kind = ProfileKind::kHeap;
  router_.OnSample(block);
  router_.OnFree({});
  EXPECT_EQ(heap_.allocs, 1);
  EXPECT_EQ(heap_.frees, 1);
  EXPECT_EQ(Past().samples, 0);
  EXPECT_EQ(Captured(), 0);
}

TEST_F(SampleRouterTest, APageFaultIsOfItsPastAndOfWhoWaitsForFaults) {
  auto waiting = std::make_shared<CaptureTarget>(*target_);
  waiting->kind = ProfileKind::kRss;
  waiting->buffer = std::make_shared<CaptureBuffer>(BootTime{0});
  captures_.Add(waiting);
  Sample fault = FinishedSample(false);
  fault.kind = ProfileKind::kRss;
  fault.count = 128;
  fault.value = 128 * 4096;
  router_.OnSample(fault);
  Aggregate past = Past(ProfileKind::kRss);
  EXPECT_EQ(past.records, 1);
  EXPECT_EQ(past.samples, 128);
  EXPECT_EQ(past.value, 128 * 4096);
  EXPECT_EQ(waiting->buffer->Finish({INT64_MAX / 2}, {}, 0).samples, 128);
  EXPECT_EQ(Past().samples, 0);
  EXPECT_EQ(Captured(), 0);
  EXPECT_FALSE(coverage_.Find(kProcess).has_value());
}

}  // namespace
}  // namespace pprofd
