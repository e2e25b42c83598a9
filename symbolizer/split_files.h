// SplitFiles: finds and opens the .dwo and .dwp files of one module.
//
// A .dwp package is looked for beside the module, beside its debug file and
// under each debug folder; a .dwo at the path that its skeleton names (a
// relative one from the compilation folder, the module's or the debug file's);
// each in the target's root first, then on the host. A unit counts only if its
// ID is the skeleton's. Files stay open until CloseAll().
// Owns: the open files. Thread: one owner at a time.
// Bound: kMaxOpen files of kMaxBytes, the least recently used is closed;
//   kMaxTold messages.
#ifndef SYMBOLIZER_SPLIT_FILES_H_
#define SYMBOLIZER_SPLIT_FILES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "symbolizer/debug_files.h"
#include "symbolizer/dwarf_file.h"
#include "symbolizer/split_unit.h"

namespace pprofd {

class SplitFiles {
 public:
  static constexpr size_t kMaxOpen = 32;
  static constexpr uint64_t kMaxBytes = uint64_t{2} << 30;
  static constexpr size_t kMaxUnits = 1 << 18;  // of one file
  static constexpr size_t kMaxTold = 16;

  // `debug_path` is that of the separate debug file; "" for none.
  SplitFiles(DebugFileSearch search, std::string debug_path)
      : search_(std::move(search)), debug_path_(std::move(debug_path)) {}

  // The unit that a skeleton of `main` stands for; valid until the next call.
  std::optional<SplitUnit> Find(DwarfFile& main, const Skeleton& skeleton);
  void CloseAll() {
    open_.clear();
    package_ = nullptr;
  }

  // Whether any unit was asked for.
  bool is_used() const { return !is_found_.empty(); }
  // Of what is known while no file is open.
  size_t bytes() const { return is_found_.capacity() * 17; }
  // What was looked at, and how many units were found and not.
  std::vector<std::string> attempts() const;

 private:
  struct OpenFile {
    std::unique_ptr<DwarfFile> dwarf;
    absl::flat_hash_map<uint64_t, uint64_t> units;  // ID → offset of the DIE
    uint64_t bytes = 0;
    uint64_t last_used = 0;
  };

  static Result<OpenFile> Open(int fd);
  OpenFile* FindOpen(uint64_t id);
  void OpenPackage();
  OpenFile* OpenObject(const Skeleton& skeleton);
  OpenFile* Keep(OpenFile file);
  std::vector<std::string> PackagePaths() const;
  std::vector<std::string> ObjectPaths(const Skeleton& skeleton) const;
  void Tell(const std::vector<std::string>& attempts);

  const DebugFileSearch search_;
  const std::string debug_path_;
  bool is_package_sought_ = false;
  UniqueFd package_fd_;
  OpenFile* package_ = nullptr;  // while it is open
  std::vector<std::unique_ptr<OpenFile>> open_;
  uint64_t uses_ = 0;
  std::vector<std::string> told_;
  absl::flat_hash_map<uint64_t, bool> is_found_;  // by ID
};

}  // namespace pprofd

#endif  // SYMBOLIZER_SPLIT_FILES_H_
