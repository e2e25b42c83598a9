#include "daemon/aggregate/histories.h"

#include <algorithm>

namespace pprofd {
namespace {

// The union of what each history says.
template <typename T, typename Ask>
std::vector<T> Union(
    const std::array<std::unique_ptr<History>, kProfileKinds>& histories,
    Ask ask) {
  std::vector<T> all;
  for (const auto& history : histories) {
    if (!history) continue;
    std::vector<T> some = ask(*history);
    all.insert(all.end(), some.begin(), some.end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace

Histories::Histories(const History::Options& options) {
  size_t parts = 0;
  for (ProfileKind kind : ProfileKinds()) parts += Describe(kind).history_parts;
  for (ProfileKind kind : ProfileKinds()) {
    size_t own_parts = Describe(kind).history_parts;
    if (own_parts == 0) continue;
    History::Options own = options;
    own.max_bytes = options.max_bytes / parts * own_parts;
    histories_[static_cast<size_t>(kind)] = std::make_unique<History>(own);
  }
}

void Histories::Advance(BootTime now) {
  for (const auto& history : histories_) {
    if (history) history->Advance(now);
  }
}

std::vector<ProcessKey> Histories::Processes() const {
  return Union<ProcessKey>(
      histories_, [](const History& history) { return history.Processes(); });
}

std::vector<ModuleId> Histories::ModulesInUse() const {
  return Union<ModuleId>(histories_, [](const History& history) {
    return history.ModulesInUse();
  });
}

}  // namespace pprofd
