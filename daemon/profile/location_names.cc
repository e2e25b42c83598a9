#include "daemon/profile/location_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace pprofd {
namespace {

using MappingKind = AddressSpace::MappingKind;

// One question: distinct addresses, ascending, and who wants each answer.
template <typename Address>
struct Batch {
  std::vector<std::pair<Address, uint32_t>> wanted;  // address, location
  int64_t weight = 0;

  void Add(Address address, uint32_t location, int64_t samples) {
    wanted.emplace_back(address, location);
    weight += samples;
  }
  std::vector<Address> Addresses() {
    std::sort(wanted.begin(), wanted.end());
    std::vector<Address> addresses;
    for (const auto& [address, location] : wanted) {
      if (addresses.empty() || addresses.back() != address) {
        addresses.push_back(address);
      }
    }
    return addresses;
  }
};

// Levels without any name say nothing; pprof refuses them.
SymbolChain Cleaned(SymbolChain chain) {
  for (SymbolLine& line : chain) {
    if (line.name.empty()) line.name = line.system_name;
    if (line.system_name.empty()) line.system_name = line.name;
  }
  std::erase_if(chain,
                [](const SymbolLine& line) { return line.name.empty(); });
  return chain;
}

class Namer {
 public:
  Namer(const LocationTable& table, AddressSpace& space)
      : locations_(table.locations()), space_(space) {
    names_.chains.resize(locations_.size());
    names_.abilities.resize(space.mappings().size());
    for (uint32_t i = 0; i < locations_.size(); ++i) Sort(i);
  }

  LocationNames Run(SymbolSource& symbols, DemangleStyle style,
                    SymbolSource::Deadline deadline) {
    if (!kernel_.wanted.empty()) {
      std::vector<uint64_t> addresses = kernel_.Addresses();
      Distribute(kernel_, addresses, symbols.SymbolizeKernel(addresses),
                 "the kernel");
    }
    for (auto& [process, batch] : jit_) {
      std::vector<uint64_t> addresses = batch.Addresses();
      Distribute(batch, addresses,
                 symbols.SymbolizeJit(process, addresses, style, deadline),
                 fmt::format("generated code of process {}", process.pid));
    }
    for (auto* entry : ModulesByWeight()) {
      const ModuleRef module = space_.FindModule(entry->first);
      std::vector<ModuleAddr> addresses = entry->second.Addresses();
      Distribute(entry->second, addresses,
                 symbols.SymbolizeModule(*module, addresses, style, deadline),
                 module->path);
    }
    CountUnresolved();
    return std::move(names_);
  }

 private:
  using ModuleEntry = std::pair<const ModuleId, Batch<ModuleAddr>>;

  void Sort(uint32_t index) {
    const RawLocation& location = locations_[index];
    const AddressSpace::Place& place = location.place;
    switch (space_.mappings()[place.mapping].kind) {
      case MappingKind::kFile:
        if (place.module_addr) {
          modules_[place.module].Add(*place.module_addr, index,
                                     location.weight);
        }
        break;
      case MappingKind::kJit:
        jit_[location.process].Add(place.address, index, location.weight);
        break;
      case MappingKind::kKernel:
        kernel_.Add(place.address, index, location.weight);
        break;
      case MappingKind::kOwn:
        names_.chains[index].push_back({.name = location.own_text,
                                        .system_name = location.own_text,
                                        .file = {}});
        break;
    }
  }

  std::vector<ModuleEntry*> ModulesByWeight() {
    std::vector<ModuleEntry*> entries;
    entries.reserve(modules_.size());
    for (ModuleEntry& entry : modules_) entries.push_back(&entry);
    std::stable_sort(entries.begin(), entries.end(),
                     [](const ModuleEntry* a, const ModuleEntry* b) {
                       return a->second.weight > b->second.weight;
                     });
    return entries;
  }

  template <typename Address>
  void Distribute(const Batch<Address>& batch,
                  const std::vector<Address>& addresses,
                  const ModuleSymbols& symbols, const std::string& what) {
    if (!symbols.problem.empty()) NoteProblem(what, symbols.problem);
    size_t answer = 0;
    for (const auto& [address, location] : batch.wanted) {
      while (addresses[answer] != address) ++answer;
      names_.chains[location] = Cleaned(symbols.Chain(answer));
      LocationNames::Abilities& abilities =
          names_.abilities[locations_[location].place.mapping];
      abilities.has_filenames |= symbols.has_filenames;
      abilities.has_line_numbers |= symbols.has_line_numbers;
      abilities.has_inline_frames |= symbols.has_inline_frames;
    }
  }

  void NoteProblem(const std::string& what, const std::string& problem) {
    if (names_.problems.size() == LocationNames::kMaxProblems) {
      ++names_.problems_left_out;
    } else {
      names_.problems.push_back(what + ": " + problem);
    }
  }

  void CountUnresolved() {
    for (const SymbolChain& chain : names_.chains) {
      if (chain.empty()) ++names_.unresolved;
    }
  }

  const std::vector<RawLocation>& locations_;
  AddressSpace& space_;
  LocationNames names_;
  std::map<ModuleId, Batch<ModuleAddr>> modules_;
  std::map<ProcessKey, Batch<uint64_t>> jit_;
  Batch<uint64_t> kernel_;
};

}  // namespace

LocationNames NameLocations(const LocationTable& table, AddressSpace& space,
                            SymbolSource& symbols, DemangleStyle style,
                            SymbolSource::Deadline deadline) {
  return Namer(table, space).Run(symbols, style, deadline);
}

}  // namespace pprofd
