// SymbolizerProcess: one pprofd-symbolizer, started when needed, replaced when
// lost.
//
// A call is one request and its reply, with the symbolizer's questions in
// between. A call whose time is up leaves the symbolizer at work, so that what
// it has read is not lost, and the next caller waits for that to end; one that
// has used kMaxCpuTime without end, or kHangTime of anybody's time, is killed.
// A file that has cost the symbolizer its life kMaxStrikes times is not shown
// to it again for kStrikeTime. Owns: the process and its socket. Borrows:
// nothing. Thread: any; calls take turns, the newest first. Bound: kMaxSubjects
// files that are remembered as deadly. Fails: Gone (it died; counted, the next
// call starts another), Timeout,
//   Exhausted (out of memory), Unsupported (refused: deadly before), Denied
//   (cannot be started).
#ifndef DAEMON_SYMBOLIZER_CLIENT_SYMBOLIZER_PROCESS_H_
#define DAEMON_SYMBOLIZER_CLIENT_SYMBOLIZER_PROCESS_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/symbolizer_client/child_process.h"
#include "daemon/symbolizer_client/newest_first_gate.h"
#include "proto/symbolizer.pb.h"
#include "symbolizer/service/channel.h"

namespace pprofd {

class SymbolizerProcess {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kMaxCpuTime{5};
  static constexpr std::chrono::seconds kHangTime{20};
  static constexpr std::chrono::milliseconds kCheckInterval{200};
  // The symbolizer minds the deadline, too, and answers what it has by then.
  static constexpr std::chrono::milliseconds kPatience{250};
  static constexpr std::chrono::seconds kStartTime{10};
  static constexpr std::chrono::minutes kStrikeTime{10};
  static constexpr int kMaxStrikes = 2;
  static constexpr size_t kMaxSubjects = 4096;

  struct Options {
    std::string program;  // path; "" = pprofd-symbolizer beside this program
    std::string role;     // its argument, for people who list processes
    size_t max_cache_bytes = 0;
    std::vector<std::string> debug_roots;
    bool is_urgent = false;  // samples wait for its answers
    bool has_store = false;  // answerers know stored names
  };

  // What the daemon says to a question; `file` is null when none goes along.
  struct Answer {
    wire::Answer text;
    UniqueFd file;
  };
  using Answerer = std::function<Answer(const wire::Question&)>;

  struct Call {
    wire::Request request;
    int file = -1;        // goes along; -1: none
    std::string subject;  // the file's name to us; "" for none
    // May be asked after the call has ended, if that `can_outlive` it.
    Answerer answerer;
    bool can_outlive = false;
  };

  explicit SymbolizerProcess(Options options) : options_(std::move(options)) {}
  SymbolizerProcess(const SymbolizerProcess&) = delete;
  SymbolizerProcess& operator=(const SymbolizerProcess&) = delete;

  // Opens the program once, for all processes to come, and starts the first.
  Status Start();

  Result<wire::Reply> Run(Call call, Deadline deadline);

  // As the symbolizer last said.
  size_t cache_bytes() const { return cache_bytes_; }
  bool has_unsaved() const { return has_unsaved_; }
  uint32_t landlock_abi() const { return landlock_abi_; }
  // 0 while there is none.
  pid_t pid() const { return pid_; }

 private:
  struct Unfinished {
    uint64_t id = 0;
    std::string subject;
    Answerer answerer;
    Deadline kill_at;
    std::chrono::nanoseconds cpu_limit;  // of the process's whole life
  };
  struct Strikes {
    int count = 0;
    Deadline last;
    std::string cause;
  };

  Result<wire::Reply> RunAlone(Call& call, Deadline deadline);
  Status Spawn();
  Status Greet();
  Status FinishLast(Deadline deadline);
  bool Hangs(const Unfinished& unfinished) const;
  Status SendRequest(const Call& call, Deadline deadline);
  Result<wire::Reply> Converse(uint64_t id, const Answerer& answerer,
                               Deadline deadline);
  Status AnswerQuestion(uint64_t id, const wire::Question& question,
                        const Answerer& answerer, Deadline deadline);
  Status Refusal(const std::string& subject);
  // Ends the process, and books that to `subject`.
  Status Lose(const Status& why, const std::string& subject);
  void Strike(const std::string& subject, const std::string& cause);

  const Options options_;
  UniqueFd program_;
  NewestFirstGate gate_;
  std::atomic<size_t> cache_bytes_{0};
  std::atomic<bool> has_unsaved_{false};
  std::atomic<uint32_t> landlock_abi_{0};
  std::atomic<pid_t> pid_{0};

  // Of whoever is in the gate:
  ChildProcess child_;
  Channel channel_;
  uint64_t ids_ = 0;
  std::optional<Unfinished> unfinished_;
  absl::flat_hash_map<std::string, Strikes> strikes_;
};

}  // namespace pprofd

#endif  // DAEMON_SYMBOLIZER_CLIENT_SYMBOLIZER_PROCESS_H_
