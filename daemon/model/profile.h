// Profile: symbolized, encodable, in the shape of profile.proto.
//
// Tables refer to each other by index; the encoder turns index i into id i + 1.
// Strings are held once, in `strings`, with "" at 0.
// Thread: value.
#ifndef DAEMON_MODEL_PROFILE_H_
#define DAEMON_MODEL_PROFILE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace pprofd {

using StringIndex = uint32_t;

struct ProfileValueType {
  StringIndex type = 0;
  StringIndex unit = 0;
};

struct ProfileLabel {
  StringIndex key = 0;
  StringIndex str = 0;       // string label when not 0
  int64_t num = 0;           // else numeric
  StringIndex num_unit = 0;  // set when num may be 0, else pprof drops it
};

struct ProfileSample {
  std::vector<uint32_t> locations;  // indexes, leaf first
  std::vector<int64_t> values;      // one per sample type
  std::vector<ProfileLabel> labels;
};

struct ProfileMapping {
  uint64_t start = 0;
  uint64_t limit = 0;
  uint64_t file_offset = 0;
  StringIndex filename = 0;
  StringIndex build_id = 0;
  bool has_functions = false;
  bool has_filenames = false;
  bool has_line_numbers = false;
  bool has_inline_frames = false;
};

struct ProfileLine {
  uint32_t function = 0;  // index
  int64_t line = 0;
  int64_t column = 0;
};

struct ProfileLocation {
  static constexpr uint32_t kNoMapping = UINT32_MAX;
  uint32_t mapping = kNoMapping;  // index
  uint64_t address = 0;
  std::vector<ProfileLine> lines;  // innermost inlined call first
};

struct ProfileFunction {
  StringIndex name = 0;
  StringIndex system_name = 0;
  StringIndex filename = 0;
  int64_t start_line = 0;
};

struct Profile {
  std::vector<std::string> strings{""};
  std::vector<ProfileValueType> sample_types;
  std::vector<ProfileSample> samples;
  std::vector<ProfileMapping> mappings;  // [0] is the main executable
  std::vector<ProfileLocation> locations;
  std::vector<ProfileFunction> functions;
  ProfileValueType period_type;
  int64_t period = 0;
  int64_t time_ns = 0;  // wall clock
  int64_t duration_ns = 0;
  std::vector<StringIndex> comments;
  StringIndex default_sample_type = 0;
  StringIndex drop_frames = 0;
  StringIndex keep_frames = 0;
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_PROFILE_H_
