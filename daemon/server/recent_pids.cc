#include "daemon/server/recent_pids.h"

namespace pprofd {

void RecentPids::Remember(const std::string& client, int32_t pid,
                          BootTime now) {
  auto known = by_client_.find(client);
  if (known != by_client_.end()) {
    entries_.erase(known->second);
    by_client_.erase(known);
  } else if (entries_.size() >= kMaxClients) {
    by_client_.erase(entries_.back().client);
    entries_.pop_back();
  }
  entries_.push_front({client, pid, now});
  by_client_[client] = entries_.begin();
}

std::optional<int32_t> RecentPids::Recall(const std::string& client,
                                          BootTime now) const {
  auto known = by_client_.find(client);
  if (known == by_client_.end()) return std::nullopt;
  const Entry& entry = *known->second;
  if (now.ns - entry.time.ns > kMaxAgeNs) return std::nullopt;
  return entry.pid;
}

}  // namespace pprofd
