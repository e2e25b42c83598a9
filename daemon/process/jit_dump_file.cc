#include "daemon/process/jit_dump_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>

#include "daemon/process/proc_maps.h"
#include "daemon/process/root_file.h"

namespace pprofd {
namespace {

// The number in "…/jit-NUMBER.dump".
std::optional<int32_t> PidOfDump(std::string_view path) {
  constexpr std::string_view kPrefix = "jit-";
  constexpr std::string_view kSuffix = ".dump";
  std::string_view name = path.substr(path.rfind('/') + 1);
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix) ||
      name.size() < kPrefix.size() + kSuffix.size()) {
    return std::nullopt;
  }
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(kSuffix.size());
  int32_t pid = 0;
  auto [end, error] =
      std::from_chars(name.data(), name.data() + name.size(), pid);
  if (error != std::errc() || end != name.data() + name.size() || pid <= 0) {
    return std::nullopt;
  }
  return pid;
}

const ProcMapping* FindMark(const ProcMaps& maps, int32_t own_pid) {
  const ProcMapping* found = nullptr;
  for (const ProcMapping& mapping : maps.mappings) {
    if (!mapping.is_file()) continue;
    std::optional<int32_t> pid = PidOfDump(mapping.path);
    if (!pid) continue;
    found = &mapping;
    if (*pid == own_pid) break;
  }
  return found;
}

Result<UniqueFd> OpenMapped(const ProcessDir& process,
                            const ProcMapping& mapping,
                            const std::string& path) {
  char name[64];
  std::snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64,
                mapping.start.value, mapping.limit.value);
  Result<UniqueFd> mapped = process.OpenAt(name, O_PATH);
  if (mapped.ok()) return mapped;
  // Needs rights that we may lack.
  ASSIGN_OR_RETURN(UniqueFd root, process.OpenAt("root", O_PATH | O_DIRECTORY));
  return OpenPathInRoot(root.get(), path);
}

}  // namespace

bool IsJitDumpPath(std::string_view path) {
  return PidOfDump(path).has_value();
}

Result<JitDumpFile> OpenJitDumpFile(const ProcessKey& key,
                                    const std::string& proc_root) {
  ASSIGN_OR_RETURN(ProcessDir process, ProcessDir::Open(proc_root, key));
  ASSIGN_OR_RETURN(ProcMaps maps, process.ReadMaps());
  ASSIGN_OR_RETURN(ProcessStatus status, process.ReadStatus());
  const ProcMapping* mark = FindMark(
      maps, status.namespace_pid != 0 ? status.namespace_pid : key.pid);
  if (mark == nullptr) {
    return Status(StatusCode::kNotFound, "no jit-PID.dump is mapped");
  }
  std::string path = PathBelowRoot(mark->path, process.RootPath());
  ASSIGN_OR_RETURN(UniqueFd found, OpenMapped(process, *mark, path));
  struct stat info;
  if (fstat(found.get(), &info) != 0) return Status::FromErrno(errno, path);
  if (info.st_uid != 0 && info.st_uid != status.uid) {
    return Status(StatusCode::kDenied, path + " belongs to another user");
  }
  ASSIGN_OR_RETURN(UniqueFd file, ReopenForReading(found));
  return JitDumpFile{.file = std::move(file), .path = std::move(path)};
}

}  // namespace pprofd
