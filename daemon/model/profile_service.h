// ProfileService: all that a server may ask of pprofd.
//
// Handlers know no BPF and no /proc; the pipeline implements this.
// Thread: every method may be called from any thread. Methods marked "blocks"
//   do work or I/O and belong on a worker, not on the event loop.
#ifndef DAEMON_MODEL_PROFILE_SERVICE_H_
#define DAEMON_MODEL_PROFILE_SERVICE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/base/clock.h"
#include "daemon/base/status.h"
#include "daemon/model/ids.h"
#include "daemon/model/process_explanation.h"
#include "daemon/model/profile_kind.h"

namespace pprofd {

// One row of the index of processes.
struct ProcessRow {
  int32_t pid = 0;
  std::string comm;
  std::string exe;         // readlink of /proc/PID/exe, " (deleted)" removed
  std::string cmdline;     // arguments joined by blanks
  double cpu_percent = 0;  // sampled, over the last 10 s; 100 = one CPU
  uint32_t threads = 0;
  bool is_kernel_thread = false;
  bool exited = false;  // still in history
  // By kind: what Go counts on its index page, stacks known.
  std::array<uint64_t, kProfileKinds> records{};
};

struct NamedCount {
  std::string name;  // snake_case or a reason's text
  std::string text;  // what it counts
  uint64_t value = 0;
};

// What is known about the truth of one process's profile.
struct ProcessDiagnostics {
  // Both since pprofd or the process started, whichever was later.
  double sampled_cpu_seconds = 0;   // of always-on samples
  double measured_cpu_seconds = 0;  // utime + stime
  uint64_t samples = 0;
  uint64_t complete = 0;
  uint64_t mixed = 0;
  uint64_t truncated = 0;
  std::vector<NamedCount> reasons;  // truncated, by reason
};

enum class DemangleStyle { kNone, kShort, kTemplates, kFull };
enum class ProfileFormat { kPprof, kCollapsed, kText };

struct RenderOptions {
  ProfileFormat format = ProfileFormat::kPprof;
  DemangleStyle demangle = DemangleStyle::kShort;
  bool include_kernel = true;
  int32_t only_tid = 0;             // 0 = all threads
  std::vector<std::string> labels;  // of tid, comm, thread, cpu, pid, cgroup
  bool unit_is_ns = false;          // collapsed: nanoseconds instead of samples
};

struct EncodedProfile {
  std::string body;  // gzip of profile.proto, or text for other formats
  bool process_exited = false;
};

// A running measurement; destroying it detaches its event at once.
class Capture {
 public:
  virtual ~Capture() = default;
};

struct CaptureRequest {
  ProfileKind kind = ProfileKind::kCpu;  // one with a history
  int32_t pid = 0;                       // 0 = the whole host
  uint32_t hz = 99;                      // of kCpu
};

// Allocations of a process that are being sampled; they go on being so for a
// while after it is destroyed.
class HeapWatch {
 public:
  virtual ~HeapWatch() = default;
  // Sampling began with this watch: nothing is known yet.
  bool is_new() const { return is_new_; }

 protected:
  explicit HeapWatch(bool is_new) : is_new_(is_new) {}

 private:
  const bool is_new_;
};

struct HeapRequest {
  int32_t pid = 0;
  uint64_t period_bytes = 0;  // mean bytes between samples; 0 = as configured
};

// What of it is wanted.
struct HeapView {
  ProfileKind kind = ProfileKind::kHeap;  // or kAllocs
  bool is_delta = false;  // what changed since the watch was made
  bool is_text = false;   // as debug=1 gives it
  // What changed in that time.
  std::optional<std::pair<WallTime, WallTime>> range;
};

struct HistoryRequest {
  ProfileKind kind = ProfileKind::kCpu;  // one with a history
  int32_t pid = 0;                       // 0 = the whole host
  WallTime from;                         // 0 = as far back as there is
  WallTime to;
};

class ProfileService {
 public:
  virtual ~ProfileService() = default;

  // Live processes first, then exited ones still in history. Blocks.
  virtual std::vector<ProcessRow> ListProcesses() = 0;
  // NotFound when pid is neither alive nor in history. Blocks.
  virtual Result<ProcessRow> DescribeProcess(int32_t pid) = 0;
  // Bytes of /proc/PID/cmdline less one final NUL; "[comm]" for kernel threads.
  virtual Result<std::string> CommandLine(int32_t pid) = 0;
  virtual Result<ProcessDiagnostics> DiagnoseProcess(int32_t pid) = 0;
  // Where the stacks and names of a process come from, and what is missing.
  // Reads the files it has mapped: blocks for seconds at most.
  virtual Result<ProcessExplanation> ExplainProcess(int32_t pid) = 0;
  // Counters of the daemon, losses by reason included.
  virtual std::vector<NamedCount> HostCounters() = 0;

  // Starts sampling; returns once the event is enabled. Blocks for
  // milliseconds. NotFound: no such process. Unsupported: cannot be profiled.
  // Exhausted: too many captures.
  virtual Result<std::unique_ptr<Capture>> StartCapture(
      const CaptureRequest& request) = 0;
  // True once the captured process is gone; the capture may be ended early.
  virtual bool TargetExited(const Capture& capture) = 0;
  // Stops sampling, collects what is still on the way, symbolizes, encodes.
  // Blocks.
  virtual Result<EncodedProfile> FinishCapture(
      std::unique_ptr<Capture> capture, const RenderOptions& options) = 0;
  // The past, answered at once. NotFound: nothing known of pid. Unsupported:
  // nothing of the kind is sampled. Blocks.
  virtual Result<EncodedProfile> QueryHistory(const HistoryRequest& request,
                                              const RenderOptions& options) = 0;

  // Begins to sample the process's allocations, unless they are. Blocks for
  // some 100 ms. NotFound: no such process. Unsupported: why they cannot be.
  // Exhausted: too many processes are.
  virtual Result<std::unique_ptr<HeapWatch>> WatchHeap(
      const HeapRequest& request) = 0;
  virtual bool TargetExited(const HeapWatch& watch) = 0;
  // What is known by now, symbolized and encoded. Blocks.
  virtual Result<EncodedProfile> RenderHeap(const HeapWatch& watch,
                                            const HeapView& view,
                                            const RenderOptions& options) = 0;

  // Names of runtime virtual addresses of a process, as given (no minus one);
  // unknown ones are left out. Blocks.
  virtual std::vector<std::pair<uint64_t, std::string>> LookUpSymbols(
      int32_t pid, const std::vector<uint64_t>& addresses) = 0;

  // For pages: the host's name and kernel release.
  virtual std::string HostDescription() = 0;
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_PROFILE_SERVICE_H_
