// AddressSpace: where a profile says that code lay: mappings and addresses.
//
// The profile of one process shows its true mappings, adjacent ones of a file
// merged. A profile of several processes shows each module once, at an address
// made from its number, so that equal code is one location whichever process
// ran it; the same serves modules whose mapping is not known. Such addresses
// lie above every user address and below the kernel's, never overlap, and stay
// the same while pprofd runs, which scrapers that compare addresses rely on.
//
//   [1, 2^57)          as it was: mapped files, and code without a file
//   2^60 + module·2^36 a module by its number, plus the file offset
//   3·2^60             pprofd's own texts
//   from 2^64 - 2^57   the kernel
//
// Owns: the mappings made so far. Borrows: ModuleProvider.
// Thread: one thread.
// Bound: one mapping per known mapping of the process and per module segment.
#ifndef DAEMON_PROFILE_ADDRESS_SPACE_H_
#define DAEMON_PROFILE_ADDRESS_SPACE_H_

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/model/frame.h"
#include "daemon/model/process_info.h"
#include "daemon/profile/profile_sources.h"

namespace pprofd {

inline constexpr std::string_view kKernelFilename = "[kernel.kallsyms]";
inline constexpr std::string_view kJitFilename = "[jit]";
inline constexpr std::string_view kVdsoFilename = "[vdso]";
inline constexpr std::string_view kOwnFilename = "[pprofd]";

// Where pprofd's own texts lie.
inline constexpr uint64_t kOwnStart = uint64_t{3} << 60;
inline constexpr uint64_t kOwnLimit = kOwnStart + (uint64_t{1} << 48);
// The number of a text for AddressSpace::PlaceOwn(), the same in every run; in
// the upper half of the range.
uint64_t OwnTextNumber(std::string_view text);

// The part of a path behind its last slash.
std::string_view Basename(std::string_view path);

class AddressSpace {
 public:
  // In the order in which a profile lists them, behind the main executable.
  enum class MappingKind : uint8_t { kFile, kJit, kKernel, kOwn };
  struct MappingEntry {
    MappingKind kind = MappingKind::kFile;
    uint64_t start = 0;
    uint64_t limit = 0;
    uint64_t file_offset = 0;
    std::string filename = {};
    std::string build_id = {};  // hexadecimal
  };
  struct Place {
    uint32_t mapping = 0;  // index into mappings()
    uint64_t address = 0;  // never 0
    ModuleId module = ModuleId::kNone;
    std::optional<ModuleAddr> module_addr = {};  // none: cannot be symbolized
  };

  explicit AddressSpace(ModuleProvider& modules) : modules_(modules) {}

  // Shows true mappings, of this process.
  void UseMappingsOf(const ProcessInfo& process);
  // Makes the executable of `process` the main mapping; false when it has none
  // that is known. To be called before anything is placed.
  bool SetMain(const ProcessInfo& process);

  // Where the code of a frame is: for a return address the byte before it,
  // which lies inside the call. REQUIRES: kind() is kFile, kAddress, kKernel.
  Place PlaceCode(Frame frame);
  // One of pprofd's own texts by its number, below kOwnLimit - kOwnStart.
  Place PlaceOwn(uint64_t number);

  const std::vector<MappingEntry>& mappings() const { return mappings_; }
  // The main executable is mappings()[0] when there is one.
  bool has_main() const { return has_main_; }

  // Cached answers of the source.
  ModuleRef FindModule(ModuleId id);
  // The last part of a module's path, or what stands for it.
  std::string_view ModuleName(ModuleId id);

 private:
  Place PlaceFile(ModuleId module, FileOffset offset);
  std::optional<Place> PlaceInKnownMapping(ModuleId module, FileOffset offset);
  uint32_t ModuleMapping(ModuleId id, const ModuleRef& module,
                         FileOffset offset);
  uint32_t FixedMapping(MappingKind kind);
  uint32_t AddMapping(MappingEntry entry, ModuleId module);

  ModuleProvider& modules_;
  absl::flat_hash_map<ModuleId, ModuleRef> module_cache_;
  std::vector<MappingEntry> mappings_;
  bool has_main_ = false;
  std::vector<Mapping> known_;           // of the process, merged, by start
  std::vector<uint32_t> known_mapping_;  // parallel: index or kNotYet
  // {module, number of its segment} -> index
  absl::flat_hash_map<std::pair<ModuleId, size_t>, uint32_t> module_mapping_;
  absl::flat_hash_map<MappingKind, uint32_t> fixed_mapping_;
};

}  // namespace pprofd

#endif  // DAEMON_PROFILE_ADDRESS_SPACE_H_
