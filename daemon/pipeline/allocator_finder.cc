#include "daemon/pipeline/allocator_finder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "daemon/process/module_opener.h"

namespace pprofd {
namespace {

// An allocator that lacks one of the others leaves it to libc, whose own asks
// the allocator.
bool TellsAllocator(const AllocatorSlot& slot) {
  return slot.name != "reallocarray" && slot.name != "valloc" &&
         slot.name != "pvalloc";
}

// Where the process has what is at `address` in the module.
std::optional<VirtualAddr> Locate(const Module& module, VirtualAddr start,
                                  FileOffset offset, ModuleAddr address) {
  std::optional<ModuleAddr> mapped = module.ToModuleAddr(offset);
  if (!mapped) return std::nullopt;
  return VirtualAddr{start.value - mapped->value + address.value};
}

}  // namespace

std::vector<HeapProbeSet> FoundAllocators::probe_sets() const {
  std::vector<HeapProbeSet> sets;
  sets.reserve(allocators.size());
  for (const Allocator& allocator : allocators) {
    sets.push_back({allocator.file.get(), allocator.functions});
  }
  return sets;
}

std::string FoundAllocators::description() const {
  std::string text;
  for (const Allocator& allocator : allocators) {
    text += fmt::format("{}{} in {}", text.empty() ? "" : ", ",
                        allocator.family, allocator.path);
  }
  return text;
}

bool FoundAllocators::is_emulated() const {
  for (const Allocator& allocator : allocators) {
    for (const AllocatorFunction& function : allocator.functions) {
      if (!function.is_emulated) return false;
    }
  }
  return true;
}

bool FoundAllocators::has_throwing_new() const {
  for (const Allocator& allocator : allocators) {
    for (const AllocatorFunction& function : allocator.functions) {
      if (function.kind == PPROFD_HEAP_NEW) return true;
    }
  }
  return false;
}

const FoundAllocators::Allocator* FoundAllocators::preload() const {
  auto found = std::ranges::find(allocators, kPreloadFamily,
                                 &FoundAllocators::Allocator::family);
  return found == allocators.end() ? nullptr : &*found;
}

bool AllocatorFinder::IsStill(const ProcessDir& process,
                              VirtualAddr first_mapping) const {
  Result<ProcMaps> maps = process.ReadMaps();
  return maps.ok() && !maps->mappings.empty() &&
         maps->mappings.front().start == first_mapping;
}

Result<FoundAllocators> AllocatorFinder::Find(const ProcessDir& process,
                                              Deadline deadline) const {
  ASSIGN_OR_RETURN(ProcMaps maps, process.ReadMaps());
  std::vector<Candidate> candidates = ReadModules(process, maps, deadline);
  FollowSlots(process, maps, &candidates);
  RETURN_IF_ERROR(Choose(&candidates));
  FoundAllocators found;
  if (!maps.mappings.empty()) found.first_mapping = maps.mappings.front().start;
  for (Candidate& candidate : candidates) {
    if (!candidate.is_used) continue;
    found.allocators.push_back(
        {.family = candidate.report.family,
         .path = candidate.module.path,
         .file = std::move(candidate.module.file),
         .functions = std::move(candidate.report.functions)});
  }
  return found;
}

std::vector<AllocatorFinder::Candidate> AllocatorFinder::ReadModules(
    const ProcessDir& process, const ProcMaps& maps, Deadline deadline) const {
  std::vector<Candidate> candidates;
  std::set<std::pair<std::string, uint64_t>> seen;
  Result<std::string> exe = process.ReadExe();
  for (const ProcMapping& line : maps.mappings) {
    if (!line.is_file() || candidates.size() >= kMaxModules) continue;
    if (std::chrono::steady_clock::now() >= deadline) break;
    if (!seen.emplace(line.path, line.inode).second) continue;
    Candidate candidate;
    candidate.module = OpenMappedModule(process.key(), line);
    if (!candidate.module.file) continue;
    symbolizer_.DescribeModule(&candidate.module);
    Result<AllocatorReport> report =
        symbolizer_.FindAllocator(candidate.module.file.get());
    if (!report.ok()) continue;
    candidate.report = std::move(*report);
    candidate.start = line.start;
    candidate.offset = line.offset;
    candidate.is_main = exe.ok() && *exe == line.path;
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

void AllocatorFinder::FollowSlots(const ProcessDir& process,
                                  const ProcMaps& maps,
                                  std::vector<Candidate>* candidates) {
  Result<UniqueFd> memory = process.OpenAt("mem", O_RDONLY);
  if (!memory.ok()) return;
  for (const Candidate& candidate : *candidates) {
    for (const AllocatorSlot& slot : candidate.report.slots) {
      if (!TellsAllocator(slot)) continue;
      std::optional<VirtualAddr> at = Locate(candidate.module, candidate.start,
                                             candidate.offset, slot.address);
      uint64_t target = 0;
      if (!at || pread(memory->get(), &target, sizeof(target),
                       static_cast<off_t>(at->value)) != sizeof(target)) {
        continue;
      }
      const ProcMapping* line = maps.Find({target});
      if (line == nullptr) continue;
      for (Candidate& other : *candidates) {
        // A slot that was not used yet points back into its own module.
        if (&other == &candidate || other.report.family.empty()) continue;
        other.is_used |= other.module.path == line->path &&
                         other.module.key.inode == line->inode;
      }
    }
  }
}

Status AllocatorFinder::Choose(std::vector<Candidate>* candidates) {
  std::vector<Candidate*> provided;
  bool is_any_used = false;
  const Candidate* stripped = nullptr;
  for (Candidate& candidate : *candidates) {
    const AllocatorReport& report = candidate.report;
    if (report.is_static && !report.has_symbols) stripped = &candidate;
    if (report.family.empty()) continue;
    provided.push_back(&candidate);
    // What a program defines itself goes before every library's.
    candidate.is_used |= candidate.is_main;
    is_any_used |= candidate.is_used;
  }
  if (is_any_used) return Status::Ok();
  if (provided.size() == 1) {
    provided.front()->is_used = true;
    return Status::Ok();
  }
  if (stripped != nullptr) {
    return Status(StatusCode::kUnsupported,
                  fmt::format("{} is a static program without symbols: its "
                              "allocator cannot be told from other code; keep "
                              "its .symtab",
                              stripped->module.path));
  }
  if (candidates->empty()) {
    return Status(StatusCode::kUnsupported,
                  "none of the files it executes can be read");
  }
  if (provided.empty()) {
    return Status(StatusCode::kUnsupported,
                  "no allocator was found in the files it executes: nothing "
                  "there defines malloc and free");
  }
  std::string paths;
  for (const Candidate* candidate : provided) {
    paths += (paths.empty() ? "" : ", ") + candidate->module.path;
  }
  return Status(StatusCode::kUnsupported,
                "it has several allocators and has not called one yet: " +
                    paths + "; try again");
}

}  // namespace pprofd
