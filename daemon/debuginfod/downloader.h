// Downloader: has one debug file fetched by pprofd-debuginfod.
//
// A process of its own: it can be killed wherever it hangs (name servers
// included), its memory goes with it, and what servers send is not parsed with
// the rights of pprofd. Its environment has the servers, and of ours only what
// says how to reach and trust them (proxies, certificates, headers).
// Owns: the process while it runs. Thread: one calls Run; Cancel from any.
// Bound: max_bytes, which the kernel enforces; timeout; one process at a time.
#ifndef DAEMON_DEBUGINFOD_DOWNLOADER_H_
#define DAEMON_DEBUGINFOD_DOWNLOADER_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"

namespace pprofd {

class Downloader {
 public:
  struct Options {
    std::string program;  // the path of pprofd-debuginfod
    std::vector<std::string> urls;
    uint64_t max_bytes = 0;
    std::chrono::milliseconds timeout{0};
  };
  // Io, Exhausted: no descriptor.
  static Result<Downloader> Create(Options options);

  // The path of the file, in `folder`, which is emptied first; nothing when no
  // server has it. Gone: cancelled. Exhausted: too large. Timeout. Io: else.
  Result<std::optional<std::string>> Run(const BuildId& build_id,
                                         const std::string& folder);

  // Ends Run() now and from now on.
  void Cancel();

 private:
  Downloader(Options options, UniqueFd cancelled)
      : options_(std::move(options)), cancelled_(std::move(cancelled)) {}

  Result<std::optional<std::string>> Outcome(int status, int output,
                                             const std::string& folder) const;
  std::vector<std::string> Environment(const std::string& folder) const;
  Result<int> Start(const BuildId& build_id, const std::string& folder,
                    int output) const;
  enum class End { kExited, kCancelled, kTimeout };
  End Wait(int pid) const;

  Options options_;
  UniqueFd cancelled_;  // an eventfd; readable when so
};

}  // namespace pprofd

#endif  // DAEMON_DEBUGINFOD_DOWNLOADER_H_
