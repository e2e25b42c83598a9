#include "daemon/process/mount_info.h"

#include <algorithm>
#include <array>

namespace pprofd {
namespace {

// "\040" and the like, three octal digits, as the kernel escapes blanks.
std::string Unescape(std::string_view text) {
  auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) &&
        is_octal(text[i + 2]) && is_octal(text[i + 3])) {
      out.push_back(static_cast<char>((text[i + 1] - '0') * 64 +
                                      (text[i + 2] - '0') * 8 +
                                      (text[i + 3] - '0')));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// Removes the directory `prefix` from the front of `path`; what remains begins
// with '/'. False when `path` lies elsewhere.
bool RemoveDirectory(std::string_view prefix, std::string_view* path) {
  if (prefix == "/") return true;
  if (!path->starts_with(prefix) || path->size() <= prefix.size() ||
      (*path)[prefix.size()] != '/') {
    return false;
  }
  path->remove_prefix(prefix.size());
  return true;
}

// "36 35 98:0 /root /mount/point options …": the first five fields.
bool SplitLine(std::string_view line, std::array<std::string_view, 5>* fields) {
  for (std::string_view& field : *fields) {
    size_t end = line.find(' ');
    if (end == std::string_view::npos) return false;
    field = line.substr(0, end);
    line.remove_prefix(end + 1);
  }
  return true;
}

}  // namespace

std::vector<std::string> PathsOnHost(std::string_view mountinfo, uint32_t major,
                                     uint32_t minor,
                                     std::string_view path_in_file_system) {
  const std::string device =
      std::to_string(major) + ":" + std::to_string(minor);
  std::vector<std::string> paths;
  while (!mountinfo.empty() && paths.size() < kMaxMountCandidates) {
    size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
    std::string_view line = mountinfo.substr(0, end);
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    std::array<std::string_view, 5> fields;
    if (!SplitLine(line, &fields) || fields[2] != device) continue;
    std::string_view below = path_in_file_system;
    if (!RemoveDirectory(Unescape(fields[3]), &below)) continue;
    std::string mount_point = Unescape(fields[4]);
    if (mount_point == "/") mount_point.clear();
    paths.push_back(mount_point + std::string(below));
  }
  return paths;
}

}  // namespace pprofd
