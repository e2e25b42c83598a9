#include "daemon/collector/event_decoder.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace pprofd {
namespace {

using Bytes = std::vector<uint8_t>;

std::optional<Sample> Decode(const Bytes& bytes) {
  Sample sample;
  if (EventKindOf(bytes) != PPROFD_EVENT_SAMPLE) return std::nullopt;
  if (!DecodeSample(bytes, sample)) return std::nullopt;
  return sample;
}

// Builds events the way the kernel half does.
class EventBytes {
 public:
  template <typename T>
  EventBytes& Add(const T& part) {
    size_t at = bytes_.size();
    bytes_.resize(at + sizeof(part));
    std::memcpy(bytes_.data() + at, &part, sizeof(part));
    return *this;
  }
  Bytes Finish() {
    uint32_t size = bytes_.size();
    std::memcpy(bytes_.data() + offsetof(pprofd_event_header, size), &size,
                sizeof(size));
    return bytes_;
  }

 private:
  Bytes bytes_;
};

pprofd_sample SampleHeader() {
  pprofd_sample sample = {};
  sample.header.version = PPROFD_ABI_VERSION;
  sample.header.kind = PPROFD_EVENT_SAMPLE;
  sample.header.time_ns = 77;
  sample.tgid = 7;
  sample.tid = 8;
  sample.start_time_ns = 30'000'000;
  sample.kind = PPROFD_KIND_CPU;
  sample.value[0] = 1;
  sample.value[1] = 10'000'000;
  sample.unwind_result = PPROFD_UNWIND_COMPLETE;
  std::memcpy(sample.comm, "redis-server\0\0\0", 16);
  return sample;
}

Frame FileFrame(uint64_t offset, bool is_return_address) {
  return Frame::File(static_cast<ModuleId>(3), {offset}, is_return_address);
}

Bytes FullSample() {
  pprofd_sample header = SampleHeader();
  header.user_frame_count = 2;
  header.mapping_count = 1;
  header.kernel_frame_count = 2;
  return EventBytes()
      .Add(header)
      .Add(FileFrame(0x1000, false).bits())
      .Add(FileFrame(0x2000, true).bits())
      .Add(pprofd_mapping{0x400000, 0x500000, 0, 3, 0})
      .Add(uint64_t{0xffffffff81000010})
      .Add(uint64_t{0xffffffff81000020})
      .Finish();
}

TEST(EventDecoder, JoinsKernelAndUserFramesLeafFirst) {
  auto event = Decode(FullSample());
  ASSERT_TRUE(event.has_value());
  const Sample& sample = *event;
  EXPECT_EQ(sample.process, (ProcessKey{7, 3}));
  EXPECT_EQ(ToString(sample.comm), "redis-server");
  ASSERT_EQ(sample.stack.size(), 4u);
  EXPECT_EQ(sample.stack[0].kernel_address(), 0xffffffff81000010u);
  EXPECT_FALSE(sample.stack[0].is_return_address());
  EXPECT_TRUE(sample.stack[1].is_return_address());
  EXPECT_EQ(sample.stack[2], FileFrame(0x1000, false));
  EXPECT_EQ(sample.stack[3], FileFrame(0x2000, true));
  EXPECT_EQ(sample.kernel_frame_count, 2u);
  ASSERT_EQ(sample.mappings.size(), 1u);
  EXPECT_EQ(sample.mappings[0].module, static_cast<ModuleId>(3));
}

TEST(EventDecoder, MakesTheTruncateReasonTheRootFrame) {
  pprofd_sample header = SampleHeader();
  header.user_frame_count = 1;
  header.unwind_result = PPROFD_UNWIND_TRUNCATED;
  header.truncate_reason = PPROFD_REASON_NO_ROWS;
  header.truncate_module = 3;
  auto event = Decode(
      EventBytes().Add(header).Add(FileFrame(0x1000, false).bits()).Finish());
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->stack.back(),
            Frame::Reason(PPROFD_REASON_NO_ROWS, static_cast<ModuleId>(3)));
}

TEST(EventDecoder, KeepsRegistersAndStackOfDeferredSamples) {
  pprofd_sample header = SampleHeader();
  header.flags = PPROFD_SAMPLE_RAW_STACK;
  header.raw_stack_bytes = 16;
  std::array<uint64_t, PPROFD_REGISTERS> registers{};
  registers[7] = 0x7ffe0000;
  auto event = Decode(EventBytes()
                          .Add(header)
                          .Add(registers)
                          .Add(std::array<uint64_t, 2>{1, 2})
                          .Finish());
  ASSERT_TRUE(event.has_value());
  const Sample& sample = *event;
  ASSERT_EQ(sample.raw.size(), 1u);
  EXPECT_EQ(sample.raw[0].registers[7], 0x7ffe0000u);
  EXPECT_EQ(sample.raw[0].bytes.size(), 16u);
}

TEST(EventDecoder, RefusesEveryTruncationOfAnEvent) {
  Bytes whole = FullSample();
  for (size_t size = 0; size < whole.size(); ++size) {
    Bytes cut(whole.begin(), whole.begin() + size);
    EXPECT_FALSE(Decode(cut).has_value()) << size;
  }
}

TEST(EventDecoder, RefusesCountsBeyondTheEvent) {
  pprofd_sample header = SampleHeader();
  header.user_frame_count = 9;
  EXPECT_FALSE(Decode(EventBytes().Add(header).Finish()).has_value());
  header = SampleHeader();
  header.mapping_count = PPROFD_MAX_SAMPLE_MAPPINGS + 1;
  EXPECT_FALSE(Decode(EventBytes().Add(header).Finish()).has_value());
}

TEST(EventDecoder, RefusesUnknownVersionsKindsAndFrames) {
  pprofd_sample header = SampleHeader();
  header.header.version = PPROFD_ABI_VERSION + 1;
  EXPECT_FALSE(Decode(EventBytes().Add(header).Finish()).has_value());
  header = SampleHeader();
  header.header.kind = 99;
  EXPECT_FALSE(Decode(EventBytes().Add(header).Finish()).has_value());
  header = SampleHeader();
  header.user_frame_count = 1;
  EXPECT_FALSE(
      Decode(EventBytes().Add(header).Add(uint64_t{0}).Finish()).has_value());
}

TEST(EventDecoder, ForgetsThePreviousSampleWhenReused) {
  Sample sample;
  ASSERT_TRUE(DecodeSample(FullSample(), sample));
  ASSERT_TRUE(DecodeSample(EventBytes().Add(SampleHeader()).Finish(), sample));
  EXPECT_TRUE(sample.stack.empty());
  EXPECT_TRUE(sample.mappings.empty());
  EXPECT_EQ(sample.kernel_frame_count, 0u);
}

TEST(EventDecoder, ReadsSampledBlocks) {
  pprofd_sample header = SampleHeader();
  header.kind = PPROFD_KIND_HEAP;
  header.capture = 4;
  header.value[0] = 1000;
  header.value[1] = 524288;
  header.address = 0x7f0000001000;
  auto sample = Decode(EventBytes().Add(header).Finish());
  ASSERT_TRUE(sample.has_value());
  EXPECT_EQ(sample->kind, ProfileKind::kHeap);
  EXPECT_FALSE(sample->is_capture);
  EXPECT_EQ(sample->tracking, 4u);
  EXPECT_EQ(sample->count, 1);
  EXPECT_EQ(sample->value, 1000);
  EXPECT_EQ(sample->period, 524288);
  EXPECT_EQ(sample->address, VirtualAddr{0x7f0000001000});
  header.value[1] = 0;
  EXPECT_FALSE(Decode(EventBytes().Add(header).Finish()).has_value());
}

TEST(EventDecoder, RefusesSamplesOfNoKind) {
  pprofd_sample header = SampleHeader();
  header.kind = 99;
  EXPECT_FALSE(Decode(EventBytes().Add(header).Finish()).has_value());
}

TEST(EventDecoder, ReadsFrees) {
  pprofd_free event = {};
  event.header.version = PPROFD_ABI_VERSION;
  event.header.kind = PPROFD_EVENT_FREE;
  event.header.time_ns = 9;
  event.tgid = 7;
  event.tracking = 4;
  event.address = 0x1000;
  event.alloc_time_ns = 5;
  auto decoded = DecodeFree(EventBytes().Add(event).Finish());
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->time, BootTime{9});
  EXPECT_EQ(decoded->tracking, 4u);
  EXPECT_EQ(decoded->address, VirtualAddr{0x1000});
  EXPECT_EQ(decoded->alloc_time, BootTime{5});
}

TEST(EventDecoder, SurvivesRandomBytes) {
  std::mt19937 random(1);
  Bytes whole = FullSample();
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = whole;
    for (int flips = 0; flips < 3; ++flips) {
      bytes[random() % bytes.size()] = random();
    }
    (void)Decode(bytes);
  }
}

TEST(EventDecoder, ReadsThePathFromTheEndOfItsField) {
  pprofd_new_module event = {};
  event.header.version = PPROFD_ABI_VERSION;
  event.header.kind = PPROFD_EVENT_NEW_MODULE;
  event.module = 5;
  event.path_bytes = 8;
  std::memcpy(event.path + sizeof(event.path) - 8, "/bin/cat", 8);
  auto decoded = DecodeNewModule(EventBytes().Add(event).Finish());
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->path, "/bin/cat");
  event.path_bytes = sizeof(event.path) + 1;
  EXPECT_FALSE(DecodeNewModule(EventBytes().Add(event).Finish()).has_value());
}

TEST(EventDecoder, APageFaultStandsForSeveral) {
  pprofd_sample header = SampleHeader();
  header.kind = PPROFD_KIND_RSS;
  header.value[0] = 128;
  header.value[1] = 128 * 4096;
  auto sample = Decode(EventBytes().Add(header).Finish());
  ASSERT_TRUE(sample.has_value());
  EXPECT_EQ(sample->kind, ProfileKind::kRss);
  EXPECT_FALSE(sample->is_capture);
  EXPECT_EQ(sample->count, 128);
  EXPECT_EQ(sample->value, 128 * 4096);
}

TEST(EventDecoder, RefusesAPageFaultThatStandsForNone) {
  pprofd_sample header = SampleHeader();
  header.kind = PPROFD_KIND_RSS;
  header.value[0] = 0;
  EXPECT_FALSE(Decode(EventBytes().Add(header).Finish()).has_value());
  header.value[0] = UINT64_MAX;
  EXPECT_FALSE(Decode(EventBytes().Add(header).Finish()).has_value());
}

}  // namespace
}  // namespace pprofd
