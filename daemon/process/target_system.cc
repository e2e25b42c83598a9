#include "daemon/process/target_system.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "daemon/process/root_file.h"

namespace pprofd {
namespace {

constexpr size_t kMaxValueBytes = 256;

// The value of an assignment as a shell would read it, without expansions.
std::string Unquote(std::string_view text) {
  std::string value;
  char quote = 0;
  for (size_t i = 0; i < text.size() && value.size() < kMaxValueBytes; ++i) {
    char c = text[i];
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      value += text[++i];
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (quote != 0 && c == quote) {
      quote = 0;
    } else {
      value += c;
    }
  }
  return value;
}

void AddWords(std::string_view text, std::set<std::string>* words) {
  while (!text.empty()) {
    size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words->emplace(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

TargetSystem::Family FamilyOf(const std::set<std::string>& ids) {
  auto is_any = [&ids](std::initializer_list<const char*> names) {
    return std::any_of(names.begin(), names.end(),
                       [&ids](const char* name) { return ids.contains(name); });
  };
  if (is_any({"debian", "ubuntu"})) return TargetSystem::Family::kDebian;
  if (is_any({"suse", "opensuse", "opensuse-leap", "opensuse-tumbleweed",
              "sles"})) {
    return TargetSystem::Family::kSuse;
  }
  if (is_any({"fedora", "rhel", "centos", "rocky", "almalinux", "amzn"})) {
    return TargetSystem::Family::kFedora;
  }
  return TargetSystem::Family::kOther;
}

}  // namespace

TargetSystem ParseOsRelease(std::string_view text) {
  TargetSystem system;
  std::set<std::string> ids;
  std::string plain_name;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    std::string_view key = line.substr(0, equals);
    std::string_view value = line.substr(equals + 1);
    if (key == "ID" || key == "ID_LIKE") AddWords(Unquote(value), &ids);
    if (key == "PRETTY_NAME") system.name = Unquote(value);
    if (key == "NAME") plain_name = Unquote(value);
  }
  if (system.name.empty()) system.name = plain_name;
  system.family = FamilyOf(ids);
  return system;
}

TargetSystem ReadTargetSystem(int root) {
  std::string problem;
  for (const char* path : {"/etc/os-release", "/usr/lib/os-release"}) {
    Result<std::string> text = ReadFileInRoot(root, path, kMaxOsReleaseBytes);
    if (text.ok()) return ParseOsRelease(*text);
    if (problem.empty()) problem = text.status().message();
  }
  TargetSystem unknown;
  unknown.problem = problem;
  return unknown;
}

Result<std::string> ReadFileInRoot(int root, const std::string& path,
                                   size_t max_bytes) {
  ASSIGN_OR_RETURN(UniqueFd found, OpenPathInRoot(root, path));
  Result<UniqueFd> file = ReopenForReading(found);
  if (!file.ok()) return file.status().WithContext(path);
  std::string text;
  char piece[16 << 10];
  while (text.size() < max_bytes) {
    ssize_t size = read(file->get(), piece,
                        std::min(sizeof(piece), max_bytes - text.size()));
    if (size < 0) return Status::FromErrno(errno, path);
    if (size == 0) break;
    text.append(piece, static_cast<size_t>(size));
  }
  return text;
}

}  // namespace pprofd
