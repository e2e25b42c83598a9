#include "daemon/profile/text_records.h"

#include <fmt/format.h>

#include <iterator>

#include "daemon/profile/address_space.h"

namespace pprofd {
namespace {

// pprof fails on a line of 64 KiB; a line holds a name and a file.
constexpr size_t kMaxNameBytes = 24 << 10;

// A text of the target as a part of one line.
std::string Printable(std::string_view text) {
  std::string printable(text.substr(0, kMaxNameBytes));
  for (char& c : printable) {
    if (c == '\t' || c == '\n' || c == '\r') c = ' ';
  }
  return printable;
}

// Of a location without a name.
std::string FileOf(const Profile& profile, const ProfileLocation& location) {
  std::string_view file;
  if (location.mapping != ProfileLocation::kNoMapping) {
    file =
        Basename(profile.strings[profile.mappings[location.mapping].filename]);
  }
  if (file.empty()) file = "unknown";
  if (file.front() == '[') return Printable(file);
  return '[' + Printable(file) + ']';
}

void AppendFrames(const Profile& profile, const ProfileLocation& location,
                  std::string& text) {
  auto out = std::back_inserter(text);
  if (location.lines.empty()) {
    fmt::format_to(out, "#\t{:#x}\t{}\n", location.address,
                   FileOf(profile, location));
  }
  for (const ProfileLine& line : location.lines) {
    const ProfileFunction& function = profile.functions[line.function];
    fmt::format_to(out, "#\t{:#x}\t{}", location.address,
                   Printable(profile.strings[function.name]));
    const std::string& file = profile.strings[function.filename];
    if (!file.empty()) {
      fmt::format_to(out, "\t{}:{}", Printable(file), line.line);
    }
    text += '\n';
  }
}

}  // namespace

void AppendStack(const Profile& profile, const ProfileSample& sample,
                 std::string& text) {
  auto out = std::back_inserter(text);
  // pprof subtracts one of each, as if all were return addresses.
  for (uint32_t location : sample.locations) {
    fmt::format_to(out, " {:#x}", profile.locations[location].address + 1);
  }
  if (sample.locations.empty()) fmt::format_to(out, " {:#x}", kOwnStart + 1);
  text += '\n';
  for (uint32_t location : sample.locations) {
    AppendFrames(profile, profile.locations[location], text);
  }
  text += '\n';
}

void AppendMemoryMap(std::string_view executable_maps, std::string& text) {
  text += "\n--- Memory map: ---\n";
  text += executable_maps;
}

}  // namespace pprofd
