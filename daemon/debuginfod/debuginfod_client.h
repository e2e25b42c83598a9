// DebuginfodClient: debug files from debuginfod servers, by build ID.
//
// Nobody waits for a server: Find() answers from the store or puts the question
// into a queue and says so; who asked is told when the file has come. One file
// is fetched at a time, the one asked for last first.
// Owns: the store's folder, a thread ("debuginfod"), a process while it
// fetches. Borrows: the clock. Thread: locks itself (mutex_).
// Bound: max_queued questions, the oldest is dropped (counter
//   debuginfod_dropped) and may be asked again; kMaxAskers of each, the others
//   see the file when their symbols are looked for anew; kMaxAnswers
//   remembered. A file: max_file_bytes and timeout. The store: max_cache_bytes.
// Fails: Create as the store does; Find with NotFound, whose message says what
//   is known of the file.
#ifndef DAEMON_DEBUGINFOD_DEBUGINFOD_CLIENT_H_
#define DAEMON_DEBUGINFOD_DEBUGINFOD_CLIENT_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/base/clock.h"
#include "daemon/base/status.h"
#include "daemon/debuginfod/debug_file_store.h"
#include "daemon/debuginfod/downloader.h"
#include "daemon/model/ids.h"
#include "symbolizer/file_opener.h"

namespace pprofd {

class DebuginfodClient {
 public:
  static constexpr size_t kMaxAskers = 64;
  static constexpr size_t kMaxAnswers = 4096;

  struct Options {
    std::vector<std::string> urls;
    std::string folder;   // of the store
    std::string program;  // the path of pprofd-debuginfod
    uint64_t max_file_bytes = uint64_t{256} << 20;
    uint64_t max_cache_bytes = uint64_t{1} << 30;
    std::chrono::milliseconds timeout{30'000};
    std::chrono::seconds retry{3600};  // before a missing file is asked again
    size_t max_queued = 1024;
  };
  // A question is answered: the file is here, or it is not. Called on the
  // client's thread, without its lock.
  using OnAnswer =
      std::function<void(const BuildId& build_id,
                         const std::vector<std::string>& askers, bool is_here)>;

  static Result<std::unique_ptr<DebuginfodClient>> Create(Options options,
                                                          const Clock& clock,
                                                          OnAnswer on_answer);
  // Ends a download at once.
  ~DebuginfodClient();
  DebuginfodClient(const DebuginfodClient&) = delete;
  DebuginfodClient& operator=(const DebuginfodClient&) = delete;

  // `asker` is whom to tell of the answer; with "" nothing is asked, only
  // looked up.
  Result<FoundFile> Find(const BuildId& build_id, const std::string& asker);

  // What is known of a file that is not here.
  std::string Describe(const BuildId& build_id) const;

 private:
  enum class State { kQueued, kRunning, kMissing, kFailed };
  struct Question {
    State state = State::kQueued;
    BootTime since;
    std::string problem;  // of kFailed
    std::vector<std::string> askers;
  };

  DebuginfodClient(Options options, DebugFileStore store, Downloader downloader,
                   const Clock& clock, OnAnswer on_answer);

  void Work();
  using Fetched = Result<std::optional<std::string>>;
  void Answer(const BuildId& build_id, const Fetched& fetched);
  void Ask(const BuildId& build_id, const std::string& asker);
  bool IsDue(const Question& question) const;
  void LimitAnswers();
  std::string DescribeLocked(const BuildId& build_id) const;

  const Options options_;
  const Clock& clock_;
  const OnAnswer on_answer_;
  Downloader downloader_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_.
  DebugFileStore store_;
  std::deque<BuildId> queue_;  // asked last at the end
  absl::flat_hash_map<BuildId, Question> questions_;
  bool is_ending_ = false;

  std::thread thread_;
};

// What the setting means: "env" stands for the http and https servers, and the
// policies between them, of $DEBUGINFOD_URLS.
std::vector<std::string> DebuginfodServers(
    const std::vector<std::string>& setting);

// The path of pprofd-debuginfod: beside the program that runs.
std::string DebuginfodProgram();

}  // namespace pprofd

#endif  // DAEMON_DEBUGINFOD_DEBUGINFOD_CLIENT_H_
