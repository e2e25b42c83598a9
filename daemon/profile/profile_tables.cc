#include "daemon/profile/profile_tables.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

namespace pprofd {

void ProfileTables::SetKind(const ProfileKindInfo& kind, int64_t period) {
  for (const ValueType& type : kind.value_types) {
    profile_.sample_types.push_back(Add(type));
  }
  profile_.period_type = Add(kind.period_type);
  profile_.period = period;
  profile_.default_sample_type = strings_.Add(kind.default_sample_type);
  profile_.drop_frames = strings_.Add(kind.drop_frames);
}

void ProfileTables::AddComment(std::string_view text) {
  profile_.comments.push_back(strings_.Add(text));
}

void ProfileTables::AddMappings(const AddressSpace& space,
                                const LocationNames& names,
                                const std::vector<RawLocation>& locations) {
  const auto& entries = space.mappings();
  std::vector<bool> is_used(entries.size());
  for (const RawLocation& location : locations) {
    is_used[location.place.mapping] = true;
  }
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < entries.size(); ++i) {
    if (is_used[i] || (i == 0 && space.has_main())) order.push_back(i);
  }
  auto key = [&](uint32_t i) {
    bool is_main = i == 0 && space.has_main();
    return std::tuple(!is_main, entries[i].kind, entries[i].start, i);
  };
  std::sort(order.begin(), order.end(),
            [&key](uint32_t a, uint32_t b) { return key(a) < key(b); });

  mapping_index_.assign(entries.size(), ProfileLocation::kNoMapping);
  for (uint32_t i : order) {
    const AddressSpace::MappingEntry& entry = entries[i];
    const LocationNames::Abilities& abilities = names.abilities[i];
    mapping_index_[i] = static_cast<uint32_t>(profile_.mappings.size());
    profile_.mappings.push_back(
        {.start = entry.start,
         .limit = entry.limit,
         .file_offset = entry.file_offset,
         .filename = strings_.Add(entry.filename),
         .build_id = strings_.Add(entry.build_id),
         // Whatever was found: viewers shall not look for names themselves.
         .has_functions = true,
         .has_filenames = abilities.has_filenames,
         .has_line_numbers = abilities.has_line_numbers,
         .has_inline_frames = abilities.has_inline_frames});
  }
}

std::vector<uint32_t> ProfileTables::AddLocations(
    const std::vector<RawLocation>& locations, const LocationNames& names) {
  std::vector<uint32_t> order(locations.size());
  std::iota(order.begin(), order.end(), 0);
  auto key = [&](uint32_t i) {
    return std::tuple(mapping_index_[locations[i].place.mapping],
                      locations[i].place.address, locations[i].process);
  };
  std::sort(order.begin(), order.end(),
            [&key](uint32_t a, uint32_t b) { return key(a) < key(b); });

  std::vector<uint32_t> renamed(locations.size());
  profile_.locations.reserve(locations.size());
  for (uint32_t i : order) {
    renamed[i] = static_cast<uint32_t>(profile_.locations.size());
    ProfileLocation location{
        .mapping = mapping_index_[locations[i].place.mapping],
        .address = locations[i].place.address,
        .lines = {}};
    location.lines.reserve(names.chains[i].size());
    for (const SymbolLine& line : names.chains[i]) {
      location.lines.push_back({.function = FunctionIndex(line),
                                .line = line.line,
                                .column = line.column});
    }
    profile_.locations.push_back(std::move(location));
  }
  return renamed;
}

void ProfileTables::AddSamples(const SampleSet& samples) {
  profile_.samples.reserve(samples.samples().size());
  auto types = static_cast<ptrdiff_t>(profile_.sample_types.size());
  for (const SampleSet::Sample& sample : samples.samples()) {
    auto first = sample.values.begin();
    profile_.samples.push_back({.locations = samples.sequence(sample.sequence),
                                .values = {first, first + types},
                                .labels = Labels(sample.labels)});
  }
}

Profile ProfileTables::Take() && {
  profile_.strings = std::move(strings_).Take();
  return std::move(profile_);
}

ProfileValueType ProfileTables::Add(const ValueType& type) {
  return {strings_.Add(type.type), strings_.Add(type.unit)};
}

uint32_t ProfileTables::FunctionIndex(const SymbolLine& line) {
  ProfileFunction function{.name = strings_.Add(line.name),
                           .system_name = strings_.Add(line.system_name),
                           .filename = strings_.Add(line.file),
                           .start_line = line.start_line};
  auto [it, inserted] = function_index_.try_emplace(
      std::tuple(function.name, function.system_name, function.filename,
                 function.start_line),
      static_cast<uint32_t>(profile_.functions.size()));
  if (inserted) profile_.functions.push_back(function);
  return it->second;
}

std::vector<ProfileLabel> ProfileTables::Labels(const SampleLabels& labels) {
  std::vector<ProfileLabel> shown;
  auto add_text = [&](std::string_view key, const std::string& text) {
    if (text.empty()) return;
    shown.push_back({.key = strings_.Add(key), .str = strings_.Add(text)});
  };
  // The unit keeps a 0 from vanishing.
  auto add_number = [&](std::string_view key, int64_t number) {
    if (number < 0) return;
    StringIndex name = strings_.Add(key);
    shown.push_back({.key = name, .num = number, .num_unit = name});
  };
  add_number("pid", labels.pid);
  add_text("comm", ToString(labels.comm));
  add_text("thread", ToString(labels.thread));
  add_number("tid", labels.tid);
  add_number("cpu", labels.cpu);
  if (labels.cgroup_id != 0) {
    add_text("cgroup", std::to_string(labels.cgroup_id));
  }
  if (labels.block_bytes > 0) {
    shown.push_back({.key = strings_.Add("bytes"), .num = labels.block_bytes});
  }
  return shown;
}

}  // namespace pprofd
