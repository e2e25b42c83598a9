// Handlers: /debug/pprof/ for every process, out of a ProfileService.
//
// Both URL forms lead to the same answers: /debug/pprof/NAME?pid=N and
// /pid/N/debug/pprof/NAME. Names, headers and messages are Go's, so that its
// tools treat any process as a Go program.
// Owns: the workers on which blocking questions run. Borrows: the io_context,
//   the service and the clock, which must outlive it; itself to the handler of
//   an HttpServer until the io_context's run() has returned.
// Thread: the event loop.
// Bound: max_jobs questions wait or run, above it 503; max_seconds of capture
//   (400); a request ends at its seconds plus `slack` (503).
#ifndef DAEMON_SERVER_HANDLERS_H_
#define DAEMON_SERVER_HANDLERS_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/base/clock.h"
#include "daemon/model/profile_service.h"
#include "daemon/server/http_message.h"
#include "daemon/server/pages.h"
#include "daemon/server/profile_params.h"
#include "daemon/server/query.h"
#include "daemon/server/recent_pids.h"
#include "daemon/server/worker_pool.h"

namespace pprofd {

struct HandlerOptions {
  ProfileLimits limits;
  size_t worker_threads = 2;
  size_t max_jobs = 256;
  // For everything but sampling: waiting for a worker, symbols, encoding.
  std::chrono::milliseconds slack = std::chrono::seconds(30);
  // How long the first answer about a process's allocations gathers some.
  std::chrono::milliseconds first_heap_window = std::chrono::seconds(3);
  // How often a capture looks whether its process has exited.
  std::chrono::milliseconds exit_poll = std::chrono::milliseconds(100);
};

class Handlers {
 public:
  Handlers(boost::asio::io_context& io, ProfileService* service,
           const Clock* clock, const HandlerOptions& options);
  Handlers(const Handlers&) = delete;
  Handlers& operator=(const Handlers&) = delete;

  // The HttpHandler of a server.
  boost::asio::awaitable<HttpResponse> Handle(const HttpRequest& request);

 private:
  // A request that has reached its endpoint.
  struct Call {
    const HttpRequest* request = nullptr;
    RequestTarget target;
    PprofRoute route;
    Result<int32_t> pid = 0;  // 0 = none given; else the text of the 400
    bool is_head = false;
  };
  using Method =
      boost::asio::awaitable<HttpResponse> (Handlers::*)(const Call& call);
  // A row per thing under /debug/pprof/.
  struct Endpoint {
    std::string_view name;
    Method method = nullptr;
    bool accepts_post = false;
    std::optional<ProfileKind> kind;  // of what it counts
    std::string_view description;     // "" = not listed in the index
    std::span<const ProfileLink> links;
  };
  static const Endpoint kEndpoints[];

  static const Endpoint* FindEndpoint(std::string_view name);
  static std::vector<ProfileRow> ListedRows(const ProcessRow& process);

  boost::asio::awaitable<HttpResponse> Dispatch(const Call& call);

  boost::asio::awaitable<HttpResponse> Index(const Call& call);
  boost::asio::awaitable<HttpResponse> HostIndex(const Call& call);
  boost::asio::awaitable<HttpResponse> ProcessIndex(const Call& call);
  boost::asio::awaitable<HttpResponse> CommandLine(const Call& call);
  boost::asio::awaitable<HttpResponse> Symbol(const Call& call);
  boost::asio::awaitable<HttpResponse> CpuProfile(const Call& call);
  boost::asio::awaitable<HttpResponse> Heap(const Call& call);
  boost::asio::awaitable<HttpResponse> Allocs(const Call& call);
  boost::asio::awaitable<HttpResponse> Rss(const Call& call);
  boost::asio::awaitable<HttpResponse> Why(const Call& call);

  // Of a kind with a history: that, or the seconds to come.
  boost::asio::awaitable<HttpResponse> Snapshot(const Call& call,
                                                ProfileKind kind);
  boost::asio::awaitable<HttpResponse> HeapProfile(const Call& call,
                                                   ProfileKind kind);
  boost::asio::awaitable<Result<EncodedProfile>> MeasureHeap(HeapParams params);

  // `answer` less its length, if the process can be asked about: the headers of
  // a profile, without measuring.
  boost::asio::awaitable<HttpResponse> ProbeProfile(int32_t pid,
                                                    bool is_history,
                                                    HttpResponse answer);
  boost::asio::awaitable<Result<EncodedProfile>> Recall(ProfileParams params);
  boost::asio::awaitable<Result<EncodedProfile>> Measure(ProfileParams params);
  // Waits until `end` or until `has_exited`, of the process that is measured,
  // answers true. False when the client left.
  boost::asio::awaitable<bool> WaitForCapture(std::function<bool()> has_exited,
                                              WorkerPool::TimePoint end);

  // Runs `work` on a worker, for at most `slack`.
  template <typename T, typename Work>
  boost::asio::awaitable<Result<T>> Ask(
      Work work,
      WorkerPool::Admission admission = WorkerPool::Admission::kIfRoom);

  ProfileService* const service_;
  const Clock* const clock_;
  const HandlerOptions options_;
  RecentPids recent_pids_;
  // Last: its destructor waits for work that uses the members above.
  WorkerPool workers_;
};

template <typename T, typename Work>
boost::asio::awaitable<Result<T>> Handlers::Ask(
    Work work, WorkerPool::Admission admission) {
  auto deadline = std::chrono::steady_clock::now() + options_.slack;
  Result<T> result =
      co_await workers_.Run<T>(std::move(work), deadline, admission);
  co_return result;
}

}  // namespace pprofd

#endif  // DAEMON_SERVER_HANDLERS_H_
