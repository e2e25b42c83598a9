#include "daemon/profile/pprof_encoder.h"

#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>
#include <google/protobuf/arena.h>
#include <libdeflate.h>

#include <climits>
#include <memory>
#include <string_view>

#include "daemon/profile/utf8.h"
#include "proto/profile.pb.h"

namespace pprofd {
namespace {

namespace pb = perftools::profiles;

// Smaller output costs more time than it saves on a local network.
constexpr int kGzipLevel = 1;

Status Bad(std::string_view what, size_t index) {
  return Status(StatusCode::kCorrupt,
                fmt::format("invalid profile: {} {}", what, index));
}

Status CheckStrings(const Profile& profile) {
  if (profile.strings.empty() || !profile.strings[0].empty()) {
    return Bad("string", 0);
  }
  absl::flat_hash_set<std::string_view> seen;
  seen.reserve(profile.strings.size());
  for (size_t i = 0; i < profile.strings.size(); ++i) {
    if (!seen.insert(profile.strings[i]).second) return Bad("equal string", i);
    if (!IsValidUtf8(profile.strings[i])) return Bad("UTF-8 of string", i);
  }
  return Status::Ok();
}

Status CheckSamples(const Profile& profile) {
  size_t strings = profile.strings.size();
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    const ProfileSample& sample = profile.samples[i];
    if (sample.values.size() != profile.sample_types.size()) {
      return Bad("values of sample", i);
    }
    for (uint32_t location : sample.locations) {
      if (location >= profile.locations.size()) {
        return Bad("location of sample", i);
      }
    }
    for (const ProfileLabel& label : sample.labels) {
      if (label.key == 0 || label.key >= strings || label.str >= strings ||
          label.num_unit >= strings || (label.str != 0 && label.num != 0)) {
        return Bad("label of sample", i);
      }
    }
  }
  return Status::Ok();
}

Status CheckLocations(const Profile& profile) {
  for (size_t i = 0; i < profile.locations.size(); ++i) {
    const ProfileLocation& location = profile.locations[i];
    if (location.address == 0) return Bad("address of location", i);
    if (location.mapping != ProfileLocation::kNoMapping) {
      if (location.mapping >= profile.mappings.size()) {
        return Bad("mapping of location", i);
      }
      const ProfileMapping& mapping = profile.mappings[location.mapping];
      if (location.address < mapping.start ||
          location.address >= mapping.limit) {
        return Bad("address of location", i);
      }
    }
    for (const ProfileLine& line : location.lines) {
      if (line.function >= profile.functions.size()) {
        return Bad("function of location", i);
      }
    }
  }
  return Status::Ok();
}

Status CheckTables(const Profile& profile) {
  size_t strings = profile.strings.size();
  if (profile.sample_types.empty()) return Bad("sample type", 0);
  for (size_t i = 0; i < profile.sample_types.size(); ++i) {
    const ProfileValueType& type = profile.sample_types[i];
    if (type.type == 0 || type.type >= strings || type.unit >= strings) {
      return Bad("sample type", i);
    }
  }
  for (size_t i = 0; i < profile.mappings.size(); ++i) {
    const ProfileMapping& mapping = profile.mappings[i];
    if (mapping.start == 0 || mapping.limit <= mapping.start ||
        mapping.filename >= strings || mapping.build_id >= strings) {
      return Bad("mapping", i);
    }
  }
  for (size_t i = 0; i < profile.functions.size(); ++i) {
    const ProfileFunction& function = profile.functions[i];
    if (function.name == 0 || function.name >= strings ||
        function.system_name >= strings || function.filename >= strings) {
      return Bad("function", i);
    }
  }
  for (size_t i = 0; i < profile.comments.size(); ++i) {
    if (profile.comments[i] >= strings) return Bad("comment", i);
  }
  if (profile.period_type.type >= strings ||
      profile.period_type.unit >= strings ||
      profile.default_sample_type >= strings ||
      profile.drop_frames >= strings || profile.keep_frames >= strings) {
    return Bad("string index of profile", 0);
  }
  return Status::Ok();
}

void FillType(const ProfileValueType& type, pb::ValueType& out) {
  out.set_type(type.type);
  out.set_unit(type.unit);
}

void FillSamples(const Profile& profile, pb::Profile& out) {
  out.mutable_sample()->Reserve(static_cast<int>(profile.samples.size()));
  for (const ProfileSample& sample : profile.samples) {
    pb::Sample& added = *out.add_sample();
    added.mutable_location_id()->Reserve(
        static_cast<int>(sample.locations.size()));
    for (uint32_t location : sample.locations) {
      added.add_location_id(uint64_t{location} + 1);
    }
    for (int64_t value : sample.values) added.add_value(value);
    for (const ProfileLabel& label : sample.labels) {
      pb::Label& text = *added.add_label();
      text.set_key(label.key);
      text.set_str(label.str);
      text.set_num(label.num);
      text.set_num_unit(label.num_unit);
    }
  }
}

void FillMappings(const Profile& profile, pb::Profile& out) {
  for (size_t i = 0; i < profile.mappings.size(); ++i) {
    const ProfileMapping& mapping = profile.mappings[i];
    pb::Mapping& added = *out.add_mapping();
    added.set_id(i + 1);
    added.set_memory_start(mapping.start);
    added.set_memory_limit(mapping.limit);
    added.set_file_offset(mapping.file_offset);
    added.set_filename(mapping.filename);
    added.set_build_id(mapping.build_id);
    added.set_has_functions(mapping.has_functions);
    added.set_has_filenames(mapping.has_filenames);
    added.set_has_line_numbers(mapping.has_line_numbers);
    added.set_has_inline_frames(mapping.has_inline_frames);
  }
}

void FillCode(const Profile& profile, pb::Profile& out) {
  for (size_t i = 0; i < profile.locations.size(); ++i) {
    const ProfileLocation& location = profile.locations[i];
    pb::Location& added = *out.add_location();
    added.set_id(i + 1);
    if (location.mapping != ProfileLocation::kNoMapping) {
      added.set_mapping_id(uint64_t{location.mapping} + 1);
    }
    added.set_address(location.address);
    for (const ProfileLine& line : location.lines) {
      pb::Line& level = *added.add_line();
      level.set_function_id(uint64_t{line.function} + 1);
      level.set_line(line.line);
      level.set_column(line.column);
    }
  }
  for (size_t i = 0; i < profile.functions.size(); ++i) {
    const ProfileFunction& function = profile.functions[i];
    pb::Function& added = *out.add_function();
    added.set_id(i + 1);
    added.set_name(function.name);
    added.set_system_name(function.system_name);
    added.set_filename(function.filename);
    added.set_start_line(function.start_line);
  }
}

void FillProfile(const Profile& profile, pb::Profile& out) {
  for (const ProfileValueType& type : profile.sample_types) {
    FillType(type, *out.add_sample_type());
  }
  FillSamples(profile, out);
  FillMappings(profile, out);
  FillCode(profile, out);
  for (const std::string& text : profile.strings) out.add_string_table(text);
  for (StringIndex comment : profile.comments) out.add_comment(comment);
  FillType(profile.period_type, *out.mutable_period_type());
  out.set_period(profile.period);
  out.set_time_nanos(profile.time_ns);
  out.set_duration_nanos(profile.duration_ns);
  out.set_default_sample_type(profile.default_sample_type);
  out.set_drop_frames(profile.drop_frames);
  out.set_keep_frames(profile.keep_frames);
}

struct CompressorDeleter {
  void operator()(libdeflate_compressor* compressor) const {
    libdeflate_free_compressor(compressor);
  }
};

}  // namespace

Status CheckValid(const Profile& profile) {
  RETURN_IF_ERROR(CheckStrings(profile));
  RETURN_IF_ERROR(CheckTables(profile));
  RETURN_IF_ERROR(CheckSamples(profile));
  return CheckLocations(profile);
}

Result<std::string> SerializePprof(const Profile& profile) {
  RETURN_IF_ERROR(CheckValid(profile));
  google::protobuf::Arena arena;
  auto* message = google::protobuf::Arena::CreateMessage<pb::Profile>(&arena);
  FillProfile(profile, *message);
  std::string bytes;
  if (message->ByteSizeLong() > INT_MAX ||
      !message->SerializeToString(&bytes)) {
    return Status(StatusCode::kExhausted, "profile exceeds 2 GiB");
  }
  return bytes;
}

Result<std::string> EncodePprof(const Profile& profile) {
  ASSIGN_OR_RETURN(std::string bytes, SerializePprof(profile));
  std::unique_ptr<libdeflate_compressor, CompressorDeleter> compressor(
      libdeflate_alloc_compressor(kGzipLevel));
  if (!compressor) return Status(StatusCode::kExhausted, "no memory for gzip");
  std::string packed(
      libdeflate_gzip_compress_bound(compressor.get(), bytes.size()), '\0');
  size_t size =
      libdeflate_gzip_compress(compressor.get(), bytes.data(), bytes.size(),
                               packed.data(), packed.size());
  if (size == 0) return Status(StatusCode::kCorrupt, "gzip bound too small");
  packed.resize(size);
  return packed;
}

}  // namespace pprofd
