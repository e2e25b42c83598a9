#include "daemon/profile/collapsed_encoder.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include "daemon/profile/address_space.h"

namespace pprofd {
namespace {

void AppendFrame(std::string_view text, std::string& line) {
  if (!line.empty()) line += ';';
  for (char c : text) {
    if (c == ';') {
      line += ':';
    } else if (c == '\n' || c == '\r') {
      line += ' ';
    } else {
      line += c;
    }
  }
}

// The value that a viewer shows first; of CPU profiles the one asked for.
size_t ShownValue(const Profile& profile, const RenderOptions& options) {
  size_t last = profile.sample_types.size() - 1;
  for (size_t i = 0; i <= last && profile.default_sample_type != 0; ++i) {
    if (profile.sample_types[i].type == profile.default_sample_type) return i;
  }
  bool counts_first =
      profile.strings[profile.sample_types[0].type] == "samples";
  return counts_first && !options.unit_is_ns ? 0 : last;
}

class Renderer {
 public:
  Renderer(const Profile& profile, const RenderOptions& options)
      : profile_(profile),
        value_(ShownValue(profile, options)),
        shows_pid_(std::find(options.labels.begin(), options.labels.end(),
                             "pid") != options.labels.end()) {
    frames_.reserve(profile.locations.size());
    for (const ProfileLocation& location : profile.locations) {
      frames_.push_back(FramesOf(location));
    }
  }

  std::string Run() const {
    std::map<std::string, int64_t> stacks;
    for (const ProfileSample& sample : profile_.samples) {
      std::string line = Start(sample);
      for (size_t i = sample.locations.size(); i-- > 0;) {
        if (!line.empty()) line += ';';
        line += frames_[sample.locations[i]];
      }
      if (!line.empty()) stacks[line] += sample.values[value_];
    }
    std::string text;
    for (const auto& [line, value] : stacks) {
      if (value <= 0) continue;
      text += line;
      text += ' ';
      text += std::to_string(value);
      text += '\n';
    }
    return text;
  }

 private:
  std::string_view Text(StringIndex index) const {
    return profile_.strings[index];
  }

  // The calls at one location, outermost first.
  std::string FramesOf(const ProfileLocation& location) const {
    std::string_view filename;
    if (location.mapping != ProfileLocation::kNoMapping) {
      filename = Text(profile_.mappings[location.mapping].filename);
    }
    std::string_view suffix;
    if (filename == kKernelFilename) suffix = "_[k]";
    if (filename == kJitFilename) suffix = "_[j]";
    std::string frames;
    for (size_t i = location.lines.size(); i-- > 0;) {
      bool is_inlined = i + 1 < location.lines.size();
      AppendFrame(Text(profile_.functions[location.lines[i].function].name),
                  frames);
      frames += is_inlined ? "_[i]" : suffix;
    }
    if (frames.empty()) {
      AppendFrame(Unresolved(filename), frames);
      frames += suffix;
    }
    return frames;
  }

  static std::string Unresolved(std::string_view filename) {
    std::string_view name = Basename(filename);
    if (name.empty()) return "[unknown]";
    if (name.front() == '[') return std::string(name);
    return '[' + std::string(name) + ']';
  }

  std::string Start(const ProfileSample& sample) const {
    const ProfileLabel* comm = nullptr;
    const ProfileLabel* pid = nullptr;
    for (const ProfileLabel& label : sample.labels) {
      if (Text(label.key) == "comm") comm = &label;
      if (Text(label.key) == "pid") pid = &label;
    }
    std::string start;
    if (comm == nullptr || pid == nullptr) return start;
    AppendFrame(Text(comm->str), start);
    if (shows_pid_) start += '-' + std::to_string(pid->num);
    return start;
  }

  const Profile& profile_;
  const size_t value_;  // index
  const bool shows_pid_;
  std::vector<std::string> frames_;  // by location
};

}  // namespace

std::string EncodeCollapsed(const Profile& profile,
                            const RenderOptions& options) {
  return Renderer(profile, options).Run();
}

}  // namespace pprofd
