#include "daemon/profile/profile_size_limit.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <numeric>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "daemon/profile/address_space.h"

namespace pprofd {
namespace {

constexpr std::string_view kFoldedText = "[truncated: profile size limit]";
// A tag and a length, each at its largest for what stands inside.
constexpr size_t kMessageBytes = 5;
// A folded sample; and the frame and the comment about all of them.
constexpr size_t kFoldedSampleBytes = 64;
constexpr size_t kFoldingBytes = 512;

// Bytes of a field with a number, its tag included.
size_t FieldBytes(uint64_t value) {
  return 1 + (std::bit_width(value | 1) + 6) / 7;
}
size_t FieldBytes(int64_t value) {
  return FieldBytes(static_cast<uint64_t>(value));
}

// Sums up what samples need, tables included; never too little.
class SizeMeter {
 public:
  explicit SizeMeter(const Profile& profile)
      : profile_(profile),
        strings_(profile.strings.size()),
        functions_(profile.functions.size()),
        locations_(profile.locations.size()) {
    bytes_ = 128;  // fields of the profile itself
    UseString(0);
    for (const ProfileValueType& type : profile.sample_types) UseType(type);
    UseType(profile.period_type);
    for (StringIndex comment : profile.comments) UseReference(comment);
    for (const ProfileMapping& mapping : profile.mappings) {
      bytes_ += kMessageBytes + 4 * 11 + 4 * 2;
      UseReference(mapping.filename);
      UseReference(mapping.build_id);
    }
    for (StringIndex text : {profile.default_sample_type, profile.drop_frames,
                             profile.keep_frames}) {
      UseReference(text);
    }
  }

  void Add(const ProfileSample& sample) {
    bytes_ += 3 * kMessageBytes;
    for (uint32_t location : sample.locations) {
      bytes_ += FieldBytes(uint64_t{location} + 1) - 1;
      UseLocation(location);
    }
    for (int64_t value : sample.values) bytes_ += FieldBytes(value) - 1;
    for (const ProfileLabel& label : sample.labels) {
      bytes_ += kMessageBytes + FieldBytes(label.num);
      UseReference(label.key);
      UseReference(label.str);
      UseReference(label.num_unit);
    }
  }

  size_t bytes() const { return bytes_; }

 private:
  void UseString(StringIndex index) {
    if (strings_[index]) return;
    strings_[index] = true;
    bytes_ += kMessageBytes + profile_.strings[index].size();
  }
  void UseReference(StringIndex index) {
    bytes_ += FieldBytes(uint64_t{index});
    UseString(index);
  }
  void UseType(const ProfileValueType& type) {
    bytes_ += kMessageBytes;
    UseReference(type.type);
    UseReference(type.unit);
  }
  void UseLocation(uint32_t index) {
    if (locations_[index]) return;
    locations_[index] = true;
    const ProfileLocation& location = profile_.locations[index];
    bytes_ += kMessageBytes + FieldBytes(uint64_t{index} + 1) +
              FieldBytes(uint64_t{location.mapping} + 1) +
              FieldBytes(location.address);
    for (const ProfileLine& line : location.lines) {
      bytes_ += kMessageBytes + FieldBytes(uint64_t{line.function} + 1) +
                FieldBytes(line.line) + FieldBytes(line.column);
      UseFunction(line.function);
    }
  }
  void UseFunction(uint32_t index) {
    if (functions_[index]) return;
    functions_[index] = true;
    const ProfileFunction& function = profile_.functions[index];
    bytes_ += kMessageBytes + FieldBytes(uint64_t{index} + 1) +
              FieldBytes(function.start_line);
    UseReference(function.name);
    UseReference(function.system_name);
    UseReference(function.filename);
  }

  const Profile& profile_;
  std::vector<bool> strings_;
  std::vector<bool> functions_;
  std::vector<bool> locations_;
  size_t bytes_ = 0;
};

bool Fits(const Profile& profile, const SizeLimit& limit) {
  if (profile.samples.size() > limit.max_samples) return false;
  SizeMeter meter(profile);
  for (const ProfileSample& sample : profile.samples) {
    meter.Add(sample);
    if (meter.bytes() > limit.max_bytes) return false;
  }
  return meter.bytes() <= limit.max_bytes;
}

// The labels that tell processes apart.
std::vector<ProfileLabel> ProcessLabels(const Profile& profile,
                                        const ProfileSample& sample) {
  std::vector<ProfileLabel> labels;
  for (const ProfileLabel& label : sample.labels) {
    const std::string& key = profile.strings[label.key];
    if (key == "pid" || key == "comm") labels.push_back(label);
  }
  return labels;
}

using ProcessId = std::vector<std::tuple<StringIndex, StringIndex, int64_t>>;
ProcessId IdOf(const std::vector<ProfileLabel>& labels) {
  ProcessId id;
  for (const ProfileLabel& label : labels) {
    id.emplace_back(label.key, label.str, label.num);
  }
  return id;
}

// The samples that stay, in their old order: as many of the heaviest as fit
// beside `reserved` folded ones.
std::vector<bool> ChooseHeaviest(const Profile& profile, const SizeLimit& limit,
                                 size_t reserved) {
  std::vector<uint32_t> heaviest(profile.samples.size());
  std::iota(heaviest.begin(), heaviest.end(), 0);
  std::stable_sort(heaviest.begin(), heaviest.end(),
                   [&profile](uint32_t a, uint32_t b) {
                     return profile.samples[a].values.back() >
                            profile.samples[b].values.back();
                   });
  std::vector<bool> stays(profile.samples.size());
  SizeMeter meter(profile);
  size_t kept = 0;
  for (uint32_t i : heaviest) {
    meter.Add(profile.samples[i]);
    if (++kept + reserved > limit.max_samples ||
        meter.bytes() + reserved * kFoldedSampleBytes + kFoldingBytes >
            limit.max_bytes) {
      break;
    }
    stays[i] = true;
  }
  return stays;
}

StringIndex FindOrAddString(Profile& profile, std::string_view text) {
  auto it = std::find(profile.strings.begin(), profile.strings.end(), text);
  if (it == profile.strings.end()) {
    it = profile.strings.insert(it, std::string(text));
  }
  return static_cast<StringIndex>(it - profile.strings.begin());
}

// The location of the folded samples, in pprofd's own mapping.
uint32_t AddFoldedLocation(Profile& profile) {
  StringIndex filename = FindOrAddString(profile, kOwnFilename);
  StringIndex text = FindOrAddString(profile, kFoldedText);
  auto mapping = std::find_if(
      profile.mappings.begin(), profile.mappings.end(),
      [filename](const ProfileMapping& m) { return m.filename == filename; });
  if (mapping == profile.mappings.end()) {
    mapping = profile.mappings.insert(mapping, {.start = kOwnStart,
                                                .limit = kOwnLimit,
                                                .filename = filename,
                                                .has_functions = true});
  }
  profile.functions.push_back({.name = text, .system_name = text});
  profile.locations.push_back(
      {.mapping = static_cast<uint32_t>(mapping - profile.mappings.begin()),
       .address = kOwnStart + OwnTextNumber(kFoldedText),
       .lines = {
           {.function = static_cast<uint32_t>(profile.functions.size() - 1)}}});
  return static_cast<uint32_t>(profile.locations.size() - 1);
}

// Drops what `keep` says of `table`; the new index of each entry.
template <typename T>
std::vector<uint32_t> Compact(std::vector<T>& table,
                              const std::vector<bool>& keep) {
  std::vector<uint32_t> renamed(table.size());
  uint32_t kept = 0;
  for (uint32_t i = 0; i < table.size(); ++i) {
    if (!keep[i]) continue;
    renamed[i] = kept;
    if (kept != i) table[kept] = std::move(table[i]);
    ++kept;
  }
  table.resize(kept);
  return renamed;
}

void DropUnusedLocations(Profile& profile) {
  std::vector<bool> used(profile.locations.size());
  for (const ProfileSample& sample : profile.samples) {
    for (uint32_t location : sample.locations) used[location] = true;
  }
  std::vector<uint32_t> renamed = Compact(profile.locations, used);
  for (ProfileSample& sample : profile.samples) {
    for (uint32_t& location : sample.locations) location = renamed[location];
  }
}

void DropUnusedFunctions(Profile& profile) {
  std::vector<bool> used(profile.functions.size());
  for (const ProfileLocation& location : profile.locations) {
    for (const ProfileLine& line : location.lines) used[line.function] = true;
  }
  std::vector<uint32_t> renamed = Compact(profile.functions, used);
  for (ProfileLocation& location : profile.locations) {
    for (ProfileLine& line : location.lines) {
      line.function = renamed[line.function];
    }
  }
}

// Calls visit(StringIndex&) for every reference to a string.
template <typename Visitor>
void ForEachString(Profile& profile, Visitor visit) {
  for (ProfileValueType& type : profile.sample_types) {
    visit(type.type), visit(type.unit);
  }
  visit(profile.period_type.type), visit(profile.period_type.unit);
  for (ProfileSample& sample : profile.samples) {
    for (ProfileLabel& label : sample.labels) {
      visit(label.key), visit(label.str), visit(label.num_unit);
    }
  }
  for (ProfileMapping& mapping : profile.mappings) {
    visit(mapping.filename), visit(mapping.build_id);
  }
  for (ProfileFunction& function : profile.functions) {
    visit(function.name), visit(function.system_name), visit(function.filename);
  }
  for (StringIndex& comment : profile.comments) visit(comment);
  visit(profile.default_sample_type);
  visit(profile.drop_frames), visit(profile.keep_frames);
}

void DropUnusedStrings(Profile& profile) {
  std::vector<bool> used(profile.strings.size());
  used[0] = true;
  ForEachString(profile, [&used](StringIndex& index) { used[index] = true; });
  std::vector<uint32_t> renamed = Compact(profile.strings, used);
  ForEachString(profile,
                [&renamed](StringIndex& index) { index = renamed[index]; });
}

}  // namespace

size_t LimitSize(Profile& profile, const SizeLimit& limit) {
  if (Fits(profile, limit)) return 0;
  std::map<ProcessId, ProfileSample> folded;
  for (const ProfileSample& sample : profile.samples) {
    folded.try_emplace(IdOf(ProcessLabels(profile, sample)));
  }
  // So many processes that even one sample each is too much: one for all.
  bool by_process = folded.size() <= limit.max_samples / 2 &&
                    folded.size() * kFoldedSampleBytes <= limit.max_bytes / 2;
  size_t reserved = by_process ? folded.size() : 1;
  folded.clear();

  std::vector<bool> stays = ChooseHeaviest(profile, limit, reserved);
  size_t total = profile.samples.size();
  for (size_t i = 0; i < total; ++i) {
    if (stays[i]) continue;
    const ProfileSample& sample = profile.samples[i];
    std::vector<ProfileLabel> labels;
    if (by_process) labels = ProcessLabels(profile, sample);
    ProfileSample& sum = folded[IdOf(labels)];
    sum.labels = std::move(labels);
    sum.values.resize(sample.values.size());
    for (size_t v = 0; v < sample.values.size(); ++v) {
      sum.values[v] += sample.values[v];
    }
  }
  Compact(profile.samples, stays);
  size_t count = total - profile.samples.size();
  uint32_t location = AddFoldedLocation(profile);
  for (auto& [id, sum] : folded) {
    sum.locations = {location};
    profile.samples.push_back(std::move(sum));
  }
  profile.comments.push_back(FindOrAddString(
      profile, fmt::format("profile size limit: {} of {} samples folded into "
                           "{} of their process",
                           count, total, kFoldedText)));
  DropUnusedLocations(profile);
  DropUnusedFunctions(profile);
  DropUnusedStrings(profile);
  return count;
}

}  // namespace pprofd
