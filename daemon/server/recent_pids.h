// RecentPids: which process a client looked at last.
//
// Old pprof clients post addresses to `symbol` without the pid they fetched the
// profile of; within a minute the client's address tells.
// Thread: one owner, the event loop.
// Bound: 1,024 clients; the one seen longest ago is forgotten first.
#ifndef DAEMON_SERVER_RECENT_PIDS_H_
#define DAEMON_SERVER_RECENT_PIDS_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "daemon/base/clock.h"

namespace pprofd {

class RecentPids {
 public:
  static constexpr size_t kMaxClients = 1024;
  static constexpr int64_t kMaxAgeNs = 60'000'000'000;

  void Remember(const std::string& client, int32_t pid, BootTime now);
  std::optional<int32_t> Recall(const std::string& client, BootTime now) const;

 private:
  struct Entry {
    std::string client;
    int32_t pid = 0;
    BootTime time;
  };
  std::list<Entry> entries_;  // newest first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_client_;
};

}  // namespace pprofd

#endif  // DAEMON_SERVER_RECENT_PIDS_H_
