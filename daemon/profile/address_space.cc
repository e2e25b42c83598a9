#include "daemon/profile/address_space.h"

#include <algorithm>

namespace pprofd {
namespace {

constexpr uint64_t kPageMask = 0xfff;
constexpr uint64_t kJitLimit = PPROFD_FRAME_ADDRESS_MASK + 1;
constexpr uint64_t kModuleBase = uint64_t{1} << 60;
constexpr uint64_t kModuleBytes = PPROFD_FRAME_OFFSET_MASK + 1;
constexpr uint64_t kOwnBytes = kOwnLimit - kOwnStart;
constexpr uint64_t kKernelBase = ~PPROFD_FRAME_ADDRESS_MASK;
constexpr uint32_t kNotYet = UINT32_MAX;

uint64_t BaseOf(ModuleId module) {
  return kModuleBase + static_cast<uint64_t>(module) * kModuleBytes;
}

bool Holds(const Mapping& mapping, FileOffset offset) {
  return offset.value >= mapping.offset.value &&
         offset.value - mapping.offset.value <
             mapping.limit.value - mapping.start.value;
}

bool Continues(const Mapping& next, const Mapping& mapping) {
  return next.module == mapping.module && next.start == mapping.limit &&
         next.offset.value ==
             mapping.offset.value + mapping.limit.value - mapping.start.value;
}

// Mappings of files by start, adjacent pieces of one file as one.
std::vector<Mapping> MergeMappings(std::vector<Mapping> mappings) {
  std::erase_if(mappings, [](const Mapping& mapping) {
    return mapping.module == ModuleId::kNone ||
           mapping.limit <= mapping.start || mapping.start.value == 0;
  });
  std::stable_sort(
      mappings.begin(), mappings.end(),
      [](const Mapping& a, const Mapping& b) { return a.start < b.start; });
  std::vector<Mapping> merged;
  for (const Mapping& mapping : mappings) {
    if (!merged.empty() && Continues(mapping, merged.back())) {
      merged.back().limit = mapping.limit;
    } else {
      merged.push_back(mapping);
    }
  }
  return merged;
}

}  // namespace

// FNV-1a.
uint64_t OwnTextNumber(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3ULL;
  return hash % (kOwnBytes / 2) + kOwnBytes / 2;
}

std::string_view Basename(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

void AddressSpace::UseMappingsOf(const ProcessInfo& process) {
  known_ = MergeMappings(process.mappings);
  const Mapping& exe = process.exe_mapping;
  bool listed =
      std::any_of(known_.begin(), known_.end(), [&exe](const Mapping& mapping) {
        return mapping.start <= exe.start && exe.limit <= mapping.limit;
      });
  if (!listed && exe.limit > exe.start && exe.start.value != 0) {
    Mapping added = exe;
    if (added.module == ModuleId::kNone) added.module = process.exe_module;
    auto behind = std::upper_bound(
        known_.begin(), known_.end(), added,
        [](const Mapping& a, const Mapping& b) { return a.start < b.start; });
    known_.insert(behind, added);
  }
  known_mapping_.assign(known_.size(), kNotYet);
}

bool AddressSpace::SetMain(const ProcessInfo& process) {
  const Mapping& exe = process.exe_mapping;
  for (size_t i = 0; i < known_.size(); ++i) {
    const Mapping& mapping = known_[i];
    if (exe.limit <= exe.start || mapping.start > exe.start ||
        mapping.limit < exe.limit) {
      continue;
    }
    known_mapping_[i] = AddMapping({.start = mapping.start.value,
                                    .limit = mapping.limit.value,
                                    .file_offset = mapping.offset.value,
                                    .filename = process.exe},
                                   mapping.module);
    has_main_ = true;
    return true;
  }
  if (const ModuleRef module = FindModule(process.exe_module)) {
    for (const LoadSegment& segment : module->segments) {
      if (!segment.is_executable) continue;
      ModuleMapping(process.exe_module, module, segment.offset);
      has_main_ = true;
      return true;
    }
  }
  if (process.is_kernel_thread || process.exe.empty()) return false;
  // A name is all there is; module number 0 is nobody's.
  AddMapping({.start = BaseOf(ModuleId::kNone),
              .limit = BaseOf(ModuleId::kNone) + kModuleBytes,
              .filename = process.exe},
             ModuleId::kNone);
  has_main_ = true;
  return true;
}

AddressSpace::Place AddressSpace::PlaceCode(Frame frame) {
  uint64_t back = frame.is_return_address() ? 1 : 0;
  switch (frame.kind()) {
    case FrameKind::kFile: {
      uint64_t offset = frame.offset().value;
      return PlaceFile(frame.module(), {offset - std::min(back, offset)});
    }
    case FrameKind::kKernel:
      return {.mapping = FixedMapping(MappingKind::kKernel),
              .address = std::clamp(frame.kernel_address() - back, kKernelBase,
                                    UINT64_MAX - 1)};
    default: {
      uint64_t address = frame.address().value;
      // A call of a null pointer is at 0, which profiles cannot say.
      return {
          .mapping = FixedMapping(MappingKind::kJit),
          .address = std::max<uint64_t>(address - std::min(back, address), 1)};
    }
  }
}

AddressSpace::Place AddressSpace::PlaceOwn(uint64_t number) {
  return {.mapping = FixedMapping(MappingKind::kOwn),
          .address = kOwnStart + number % kOwnBytes};
}

ModuleRef AddressSpace::FindModule(ModuleId id) {
  auto [it, inserted] = module_cache_.try_emplace(id);
  if (inserted && id != ModuleId::kNone) it->second = modules_.FindModule(id);
  return it->second;
}

std::string_view AddressSpace::ModuleName(ModuleId id) {
  if (id == ModuleId::kVdso) return kVdsoFilename;
  const ModuleRef module = FindModule(id);
  return module == nullptr ? std::string_view() : Basename(module->path);
}

AddressSpace::Place AddressSpace::PlaceFile(ModuleId id, FileOffset offset) {
  const ModuleRef module = FindModule(id);
  Place place;
  if (std::optional<Place> known = PlaceInKnownMapping(id, offset)) {
    place = *known;
  } else {
    place.mapping = ModuleMapping(id, module, offset);
    place.address = BaseOf(id) + offset.value;
  }
  place.module = id;
  if (module != nullptr) place.module_addr = module->ToModuleAddr(offset);
  return place;
}

std::optional<AddressSpace::Place> AddressSpace::PlaceInKnownMapping(
    ModuleId module, FileOffset offset) {
  for (size_t i = 0; i < known_.size(); ++i) {
    const Mapping& mapping = known_[i];
    if (mapping.module != module || !Holds(mapping, offset)) continue;
    if (known_mapping_[i] == kNotYet) {
      known_mapping_[i] = AddMapping({.start = mapping.start.value,
                                      .limit = mapping.limit.value,
                                      .file_offset = mapping.offset.value},
                                     module);
    }
    return Place{
        .mapping = known_mapping_[i],
        .address = mapping.start.value + offset.value - mapping.offset.value};
  }
  return std::nullopt;
}

// The mapping at a made-up address of the module's segment that holds `offset`,
// page-aligned as the kernel would map it.
uint32_t AddressSpace::ModuleMapping(ModuleId id, const ModuleRef& module,
                                     FileOffset offset) {
  size_t number = 0;
  const LoadSegment* segment = nullptr;
  if (module != nullptr) {
    for (; number < module->segments.size(); ++number) {
      const LoadSegment& candidate = module->segments[number];
      if (offset.value >= candidate.offset.value &&
          offset.value - candidate.offset.value < candidate.file_size) {
        segment = &candidate;
        break;
      }
    }
  }
  auto known = module_mapping_.find({id, number});
  if (known != module_mapping_.end()) return known->second;

  MappingEntry entry{.start = BaseOf(id), .limit = BaseOf(id) + kModuleBytes};
  if (segment != nullptr) {
    uint64_t end = std::min(segment->offset.value + segment->file_size,
                            kModuleBytes - kPageMask);
    entry.file_offset = segment->offset.value & ~kPageMask;
    entry.start = BaseOf(id) + entry.file_offset;
    entry.limit = BaseOf(id) + ((end + kPageMask) & ~kPageMask);
  }
  uint32_t index = AddMapping(std::move(entry), id);
  module_mapping_.emplace(std::pair(id, number), index);
  return index;
}

uint32_t AddressSpace::FixedMapping(MappingKind kind) {
  auto known = fixed_mapping_.find(kind);
  if (known != fixed_mapping_.end()) return known->second;
  MappingEntry entry{.kind = kind};
  if (kind == MappingKind::kKernel) {
    entry.start = kKernelBase;
    entry.limit = UINT64_MAX;
    entry.filename = kKernelFilename;
  } else if (kind == MappingKind::kJit) {
    entry.start = 1;
    entry.limit = kJitLimit;
    entry.filename = kJitFilename;
  } else {
    entry.start = kOwnStart;
    entry.limit = kOwnLimit;
    entry.filename = kOwnFilename;
  }
  uint32_t index = AddMapping(std::move(entry), ModuleId::kNone);
  fixed_mapping_.emplace(kind, index);
  return index;
}

uint32_t AddressSpace::AddMapping(MappingEntry entry, ModuleId module_id) {
  const ModuleRef module = FindModule(module_id);
  if (module != nullptr) {
    if (entry.filename.empty()) entry.filename = module->path;
    entry.build_id = module->build_id.Hex();
  }
  if (module_id == ModuleId::kVdso) entry.filename = kVdsoFilename;
  if (entry.filename.empty()) entry.filename = "[unknown file]";
  mappings_.push_back(std::move(entry));
  return static_cast<uint32_t>(mappings_.size() - 1);
}

}  // namespace pprofd
