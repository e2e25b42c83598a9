#include "symbolizer/split_files.h"

#include <dwarf.h>

#include <algorithm>

#include "symbolizer/abbreviation_limits.h"
#include "symbolizer/die_reference.h"
#include "symbolizer/elf_file.h"

namespace pprofd {

std::optional<SplitUnit> SplitFiles::Find(DwarfFile& main,
                                          const Skeleton& skeleton) {
  OpenFile* file = FindOpen(skeleton.id);
  if (file == nullptr && package_ == nullptr) {
    OpenPackage();
    file = FindOpen(skeleton.id);
  }
  if (file == nullptr) file = OpenObject(skeleton);
  is_found_[skeleton.id] = file != nullptr;
  if (file == nullptr) return std::nullopt;
  file->last_used = ++uses_;
  Dwarf_Die unit_die;
  if (dwarf_offdie(file->dwarf->dwarf(), file->units.at(skeleton.id),
                   &unit_die) == nullptr) {
    return std::nullopt;
  }
  return SplitUnit::Open(main, skeleton, *file->dwarf, unit_die);
}

SplitFiles::OpenFile* SplitFiles::FindOpen(uint64_t id) {
  for (const auto& file : open_) {
    if (file->units.contains(id)) return file.get();
  }
  return nullptr;
}

Result<SplitFiles::OpenFile> SplitFiles::Open(int fd) {
  ASSIGN_OR_RETURN(MemoryMap map, MapFile(fd));
  OpenFile file;
  file.bytes = map.get().size;
  ASSIGN_OR_RETURN(file.dwarf, DwarfFile::Open(std::move(map)));
  file.bytes += file.dwarf->decompressed_bytes();
  if (file.bytes > kMaxBytes) {
    return Status(StatusCode::kExhausted, "split DWARF too large");
  }
  if (!HasFewAbbreviations(file.dwarf->dwarf())) {
    return Status(StatusCode::kExhausted, "too many abbreviations");
  }
  Dwarf_CU* unit = nullptr;
  Dwarf_CU* next = nullptr;
  Dwarf_Half version = 0;
  uint8_t type = 0;
  Dwarf_Die unit_die;
  for (size_t i = 0; i < kMaxUnits &&
                     dwarf_get_units(file.dwarf->dwarf(), unit, &next, &version,
                                     &type, &unit_die, nullptr) == 0;
       ++i) {
    unit = next;
    uint64_t id = 0;
    if (type == DW_UT_split_compile &&
        dwarf_cu_info(unit, nullptr, nullptr, nullptr, nullptr, &id, nullptr,
                      nullptr) == 0) {
      file.units.emplace(id, dwarf_dieoffset(&unit_die));
    }
  }
  if (file.units.empty()) {
    return Status(StatusCode::kNotFound, "no split units");
  }
  return file;
}

// Closes the files used longest ago until the new one fits.
SplitFiles::OpenFile* SplitFiles::Keep(OpenFile file) {
  uint64_t total = file.bytes;
  for (const auto& open : open_) total += open->bytes;
  while (!open_.empty() && (open_.size() >= kMaxOpen || total > kMaxBytes)) {
    auto oldest = std::min_element(open_.begin(), open_.end(),
                                   [](const auto& a, const auto& b) {
                                     return a->last_used < b->last_used;
                                   });
    if (oldest->get() == package_) package_ = nullptr;
    total -= (*oldest)->bytes;
    open_.erase(oldest);
  }
  file.last_used = ++uses_;
  open_.push_back(std::make_unique<OpenFile>(std::move(file)));
  return open_.back().get();
}

void SplitFiles::OpenPackage() {
  if (!is_package_sought_) {
    is_package_sought_ = true;
    auto why_unfit = [](int fd) {
      auto file = Open(fd);
      return file.ok() ? "" : file.status().message();
    };
    std::vector<std::string> attempts;
    DebugFile found =
        OpenFirstFit(PackagePaths(), search_, why_unfit, attempts);
    if (found.fd) attempts.push_back("split DWARF: package " + found.Shown());
    Tell(attempts);
    package_fd_ = std::move(found.fd);
  }
  if (!package_fd_) return;
  auto file = Open(package_fd_.get());
  if (file.ok()) package_ = Keep(std::move(*file));
}

SplitFiles::OpenFile* SplitFiles::OpenObject(const Skeleton& skeleton) {
  std::optional<OpenFile> file;
  auto why_unfit = [&](int fd) -> std::string {
    auto opened = Open(fd);
    if (!opened.ok()) return opened.status().message();
    if (!opened->units.contains(skeleton.id)) return "other DWO ID";
    file = std::move(*opened);
    return "";
  };
  std::vector<std::string> attempts;
  OpenFirstFit(ObjectPaths(skeleton), search_, why_unfit, attempts);
  if (!file) attempts.push_back("split DWARF: no " + skeleton.name);
  Tell(attempts);
  return file ? Keep(std::move(*file)) : nullptr;
}

std::vector<std::string> SplitFiles::PackagePaths() const {
  std::vector<std::string> paths;
  if (!search_.module_path.starts_with('/')) return paths;
  paths.push_back(search_.module_path + ".dwp");
  if (!debug_path_.empty()) paths.push_back(debug_path_ + ".dwp");
  for (const std::string& debug_root : search_.debug_roots) {
    paths.push_back(debug_root + search_.module_path + ".dwp");
  }
  return paths;
}

std::vector<std::string> SplitFiles::ObjectPaths(
    const Skeleton& skeleton) const {
  if (skeleton.name.starts_with('/')) return {skeleton.name};
  std::vector<std::string> paths;
  for (const std::string& folder :
       {skeleton.folder, FolderOf(search_.module_path),
        FolderOf(debug_path_)}) {
    if (folder.starts_with('/')) paths.push_back(folder + "/" + skeleton.name);
  }
  return paths;
}

void SplitFiles::Tell(const std::vector<std::string>& attempts) {
  for (const std::string& attempt : attempts) {
    if (told_.size() < kMaxTold) told_.push_back(attempt);
  }
}

std::vector<std::string> SplitFiles::attempts() const {
  std::vector<std::string> result = told_;
  if (is_found_.empty()) return result;
  auto found = std::count_if(is_found_.begin(), is_found_.end(),
                             [](const auto& unit) { return unit.second; });
  result.push_back("split DWARF: " + std::to_string(found) + " of " +
                   std::to_string(is_found_.size()) +
                   " units that were asked for");
  return result;
}

}  // namespace pprofd
