#include "daemon/collector/event_decoder.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace pprofd {
namespace {

// Hands out the bytes of one event front to back.
class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes) : rest_(bytes) {}

  template <typename T>
  bool Read(T* to, size_t count = 1) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (rest_.size() / sizeof(T) < count) return false;
    std::memcpy(to, rest_.data(), count * sizeof(T));
    rest_ = rest_.subspan(count * sizeof(T));
    return true;
  }

 private:
  std::span<const uint8_t> rest_;
};

template <typename Array>
Comm CommOf(const Array& bytes) {
  Comm comm;
  std::memcpy(comm.data(), bytes, comm.size());
  return comm;
}

ProcessKey KeyOf(uint32_t tgid, uint64_t start_time_ns) {
  return {static_cast<int32_t>(tgid), StartTicks(start_time_ns)};
}

bool IsUserFrame(Frame frame) {
  return frame.kind() == FrameKind::kFile ||
         frame.kind() == FrameKind::kAddress;
}

bool ReadUserFrames(ByteReader& reader, uint16_t count, Sample& sample) {
  std::array<uint64_t, PPROFD_MAX_USER_FRAMES> bits;
  if (count > bits.size() || !reader.Read(bits.data(), count)) return false;
  for (size_t i = 0; i < count; ++i) {
    Frame frame(bits[i]);
    if (!IsUserFrame(frame)) return false;
    sample.stack.push_back(frame);
  }
  return true;
}

bool ReadMappings(ByteReader& reader, uint16_t count, Sample& sample) {
  if (count > PPROFD_MAX_SAMPLE_MAPPINGS) return false;
  sample.mappings.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    pprofd_mapping mapping;
    if (!reader.Read(&mapping) || mapping.limit <= mapping.start) return false;
    sample.mappings.push_back({{mapping.start},
                               {mapping.limit},
                               {mapping.file_offset},
                               static_cast<ModuleId>(mapping.module)});
  }
  return true;
}

// Kernel frames are the leaf side: they go in front of the user frames.
bool ReadKernelFrames(ByteReader& reader, uint16_t count, Sample& sample) {
  std::array<uint64_t, PPROFD_MAX_KERNEL_FRAMES> addresses;
  if (count > addresses.size() || !reader.Read(addresses.data(), count)) {
    return false;
  }
  sample.stack.insert(sample.stack.begin(), count, Frame());
  for (size_t i = 0; i < count; ++i) {
    sample.stack[i] = Frame::Kernel(addresses[i], i > 0);
  }
  sample.kernel_frame_count = count;
  return true;
}

bool ReadRawStack(ByteReader& reader, uint32_t size, Sample& sample) {
  if (size > PPROFD_RAW_STACK_BYTES) return false;
  RawStack& raw = sample.raw.emplace_back();
  if (!reader.Read(raw.registers.data(), raw.registers.size())) return false;
  raw.bytes.resize(size);
  return reader.Read(raw.bytes.data(), size);
}

bool ReadValues(const pprofd_sample& from, Sample& sample) {
  sample.is_capture = false;
  sample.tracking = 0;
  sample.period = 0;
  sample.address = {from.address};
  sample.count = static_cast<int64_t>(from.value[0]);
  sample.value = static_cast<int64_t>(from.value[1]);
  switch (from.kind) {
    case PPROFD_KIND_CPU:
      sample.kind = ProfileKind::kCpu;
      sample.is_capture = from.capture != 0;
      return true;
    case PPROFD_KIND_RSS:
      sample.kind = ProfileKind::kRss;
      return sample.count > 0 && sample.value > 0;
    case PPROFD_KIND_HEAP:
      sample.kind = ProfileKind::kHeap;
      sample.tracking = from.capture;
      sample.count = 1;
      sample.value = static_cast<int64_t>(from.value[0]);
      sample.period = static_cast<int64_t>(from.value[1]);
      return sample.value > 0 && sample.period > 0;
  }
  return false;
}

}  // namespace

std::optional<uint16_t> EventKindOf(std::span<const uint8_t> bytes) {
  pprofd_event_header header;
  if (!ByteReader(bytes).Read(&header) ||
      header.version != PPROFD_ABI_VERSION || header.size != bytes.size()) {
    return std::nullopt;
  }
  return header.kind;
}

bool DecodeSample(std::span<const uint8_t> bytes, Sample& sample) {
  ByteReader reader(bytes);
  pprofd_sample from;
  if (!reader.Read(&from)) return false;
  sample.time = {static_cast<int64_t>(from.header.time_ns)};
  sample.process = KeyOf(from.tgid, from.start_time_ns);
  sample.tid = static_cast<int32_t>(from.tid);
  sample.cpu = from.cpu;
  if (!ReadValues(from, sample)) return false;
  sample.cgroup_id = from.cgroup_id;
  sample.flags = from.flags;
  sample.comm = CommOf(from.comm);
  if (from.unwind_result > PPROFD_UNWIND_TRUNCATED) return false;
  sample.result = static_cast<UnwindResult>(from.unwind_result);
  sample.reason = from.truncate_reason;
  sample.reason_module = static_cast<ModuleId>(from.truncate_module);
  sample.kernel_frame_count = 0;
  sample.stack.clear();
  sample.mappings.clear();
  sample.raw.clear();
  if (!ReadUserFrames(reader, from.user_frame_count, sample) ||
      !ReadMappings(reader, from.mapping_count, sample) ||
      !ReadKernelFrames(reader, from.kernel_frame_count, sample)) {
    return false;
  }
  if (sample.result == UnwindResult::kTruncated) {
    sample.stack.push_back(Frame::Reason(sample.reason, sample.reason_module));
  }
  return (from.flags & PPROFD_SAMPLE_RAW_STACK) == 0 ||
         ReadRawStack(reader, from.raw_stack_bytes, sample);
}

std::optional<NewModuleEvent> DecodeNewModule(std::span<const uint8_t> bytes) {
  ByteReader reader(bytes);
  pprofd_new_module from;
  if (!reader.Read(&from) || from.path_bytes > sizeof(from.path)) {
    return std::nullopt;
  }
  NewModuleEvent event;
  event.time = {static_cast<int64_t>(from.header.time_ns)};
  event.key = from.key;
  event.module = static_cast<ModuleId>(from.module);
  event.process = KeyOf(from.tgid, from.start_time_ns);
  event.map_start = {from.map_start};
  event.map_limit = {from.map_limit};
  event.offset = {from.file_offset};
  event.path.assign(from.path + sizeof(from.path) - from.path_bytes,
                    from.path_bytes);
  return event;
}

std::optional<FreeEvent> DecodeFree(std::span<const uint8_t> bytes) {
  pprofd_free from;
  if (!ByteReader(bytes).Read(&from)) return std::nullopt;
  return FreeEvent{.time = {static_cast<int64_t>(from.header.time_ns)},
                   .pid = static_cast<int32_t>(from.tgid),
                   .tracking = from.tracking,
                   .address = {from.address},
                   .alloc_time = {static_cast<int64_t>(from.alloc_time_ns)}};
}

std::optional<ExecEvent> DecodeExec(std::span<const uint8_t> bytes) {
  ByteReader reader(bytes);
  pprofd_exec from;
  if (!reader.Read(&from) || from.filename_bytes > sizeof(from.filename)) {
    return std::nullopt;
  }
  ExecEvent event;
  event.time = {static_cast<int64_t>(from.header.time_ns)};
  event.process = KeyOf(from.tgid, from.start_time_ns);
  event.comm = CommOf(from.comm);
  event.filename.assign(from.filename, from.filename_bytes);
  return event;
}

std::optional<ExitEvent> DecodeExit(std::span<const uint8_t> bytes) {
  ByteReader reader(bytes);
  pprofd_exit from;
  if (!reader.Read(&from)) return std::nullopt;
  ExitEvent event;
  event.time = {static_cast<int64_t>(from.header.time_ns)};
  event.process = KeyOf(from.tgid, from.start_time_ns);
  event.comm = CommOf(from.comm);
  event.cpu_time_ns = static_cast<int64_t>(from.cpu_time_ns);
  return event;
}

}  // namespace pprofd
