#include "daemon/process/process_mappings.h"

#include <algorithm>
#include <utility>

namespace pprofd {
namespace {

// Equal for mappings that place a file's offsets at the same addresses.
uint64_t Bias(const Mapping& mapping) {
  return mapping.start.value - mapping.offset.value;
}

FileOffset OffsetLimit(const Mapping& mapping) {
  return {mapping.offset.value + (mapping.limit.value - mapping.start.value)};
}

// True when every (module, file offset) of `inner` is found in `outer`.
bool Covers(const Mapping& outer, const Mapping& inner) {
  return outer.module == inner.module && outer.offset <= inner.offset &&
         OffsetLimit(inner) <= OffsetLimit(outer);
}

void ExtendTo(const Mapping& other, Mapping* mapping) {
  if (other.start < mapping->start) {
    mapping->start = other.start;
    mapping->offset = other.offset;
  }
  mapping->limit = std::max(mapping->limit, other.limit);
}

}  // namespace

ProcessMappings::Iterator ProcessMappings::FirstEndingBehind(
    VirtualAddr address) const {
  return std::upper_bound(current_.begin(), current_.end(), address,
                          [](VirtualAddr wanted, const Mapping& known) {
                            return wanted < known.limit;
                          });
}

bool ProcessMappings::Contains(const Mapping& mapping) const {
  auto it = FirstEndingBehind(mapping.start);
  return it != current_.end() && it->start <= mapping.start &&
         mapping.limit <= it->limit && it->module == mapping.module &&
         Bias(*it) == Bias(mapping);
}

bool ProcessMappings::Add(Mapping mapping) {
  if (mapping.start >= mapping.limit) return false;
  if (Contains(mapping)) return true;
  auto first =
      current_.begin() + (FirstEndingBehind(mapping.start) - current_.cbegin());
  auto last = first;
  while (last != current_.end() && last->start < mapping.limit) ++last;
  if (first == last) {
    if (current_.size() >= kMaxCurrent) return false;
    current_.insert(first, mapping);
  } else {
    // Disjoint themselves, so growing over one of them meets no other.
    const std::vector<Mapping> replaced(first, last);
    for (const Mapping& old : replaced) {
      if (mapping.module != ModuleId::kNone && old.module == mapping.module &&
          Bias(old) == Bias(mapping)) {
        ExtendTo(old, &mapping);
      }
    }
    *first = mapping;
    current_.erase(first + 1, last);
    for (const Mapping& old : replaced) Remember(old);
  }
  std::erase_if(past_,
                [&](const Mapping& old) { return Covers(mapping, old); });
  return true;
}

void ProcessMappings::Remember(const Mapping& mapping) {
  if (mapping.module == ModuleId::kNone) return;
  auto covers = [&](const Mapping& other) { return Covers(other, mapping); };
  if (std::any_of(current_.begin(), current_.end(), covers)) return;
  std::erase_if(past_,
                [&](const Mapping& old) { return Covers(mapping, old); });
  if (past_.size() >= kMaxPast) past_.erase(past_.begin());
  past_.push_back(mapping);
}

void ProcessMappings::Clear() {
  for (const Mapping& mapping : std::exchange(current_, {})) Remember(mapping);
}

std::optional<Mapping> ProcessMappings::Find(VirtualAddr address) const {
  auto it = FirstEndingBehind(address);
  if (it == current_.end() || address < it->start) return std::nullopt;
  return *it;
}

std::optional<Mapping> ProcessMappings::FindAlike(
    const Mapping& mapping) const {
  std::optional<Mapping> found = Find(mapping.start);
  if (found && Bias(*found) != Bias(mapping)) found.reset();
  return found;
}

std::vector<Mapping> ProcessMappings::All() const {
  std::vector<Mapping> all = current_;
  for (const Mapping& old : past_) {
    auto covers = [&](const Mapping& other) { return Covers(other, old); };
    if (std::none_of(current_.begin(), current_.end(), covers)) {
      all.push_back(old);
    }
  }
  std::stable_sort(
      all.begin(), all.end(),
      [](const Mapping& a, const Mapping& b) { return a.start < b.start; });
  return all;
}

}  // namespace pprofd
