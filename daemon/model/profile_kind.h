// ProfileKind: what can be asked about a process, as rows of one table.
//
// Names, value types and periods are those of the pprof contract: whoever adds
// a kind adds a row, and encoders, pages and endpoints follow.
// Thread: immutable.
#ifndef DAEMON_MODEL_PROFILE_KIND_H_
#define DAEMON_MODEL_PROFILE_KIND_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pprofd {

enum class ProfileKind : uint8_t { kCpu, kHeap, kAllocs, kRss };
inline constexpr size_t kProfileKinds = 4;

// One number per value type of a kind; the rest is 0.
inline constexpr size_t kMaxValueTypes = 4;
using SampleValues = std::array<int64_t, kMaxValueTypes>;

struct ValueType {
  std::string_view type;
  std::string_view unit;
};

struct ProfileKindInfo {
  std::string_view name;  // under /debug/pprof/
  std::span<const ValueType> value_types;
  ValueType period_type;
  std::string_view default_sample_type;  // "" = the last one
  // Frames that a viewer leaves out, with what they called: see profile.proto.
  std::string_view drop_frames;
  // Samples are taken of every process all the time and kept as its history,
  // which gets so many parts of the memory for all of them; 0 = they are not.
  uint32_t history_parts = 0;
};

const ProfileKindInfo& Describe(ProfileKind kind);

// All of them, in order.
std::span<const ProfileKind> ProfileKinds();

}  // namespace pprofd

#endif  // DAEMON_MODEL_PROFILE_KIND_H_
