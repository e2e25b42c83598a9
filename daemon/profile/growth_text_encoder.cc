#include "daemon/profile/growth_text_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

#include "daemon/profile/text_records.h"

namespace pprofd {
namespace {

// Both pairs of numbers that the form has are the same here.
void AppendNumbers(int64_t count, int64_t bytes, std::string& text) {
  fmt::format_to(std::back_inserter(text), "{0}: {1} [{0}: {1}] @", count,
                 bytes);
}

}  // namespace

std::string EncodeGrowthText(const Profile& profile,
                             std::string_view executable_maps) {
  std::vector<const ProfileSample*> order;
  order.reserve(profile.samples.size());
  int64_t count = 0;
  int64_t bytes = 0;
  for (const ProfileSample& sample : profile.samples) {
    order.push_back(&sample);
    count += sample.values[0];
    bytes += sample.values[1];
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const ProfileSample* a, const ProfileSample* b) {
                     return a->values[1] > b->values[1];
                   });
  std::string text = "heap profile: ";
  AppendNumbers(count, bytes, text);
  text += " growthz\n";
  for (const ProfileSample* sample : order) {
    AppendNumbers(sample->values[0], sample->values[1], text);
    AppendStack(profile, *sample, text);
  }
  for (StringIndex comment : profile.comments) {
    std::string line = profile.strings[comment];
    std::replace(line.begin(), line.end(), '\n', ' ');
    text += "# " + line + '\n';
  }
  AppendMemoryMap(executable_maps, text);
  return text;
}

}  // namespace pprofd
