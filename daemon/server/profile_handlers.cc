// The profiles among the endpoints of Handlers.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <string>
#include <utility>

#include "daemon/server/handlers.h"
#include "daemon/server/http_response.h"
#include "daemon/server/process_errors.h"

namespace pprofd {
namespace {

namespace asio = boost::asio;

constexpr std::string_view kOctetStream = "application/octet-stream";

// As Go says it.
std::string CouldNotEnable(ProfileKind kind) {
  return fmt::format("Could not enable {} profiling",
                     kind == ProfileKind::kCpu ? "CPU" : Describe(kind).name);
}

HttpResponse ProfileAnswer(std::string_view name, bool is_text,
                           std::string body) {
  if (is_text) return Answer(kTextPlain, std::move(body));
  HttpResponse response = Answer(kOctetStream, std::move(body));
  response.headers.emplace_back(
      "Content-Disposition", fmt::format("attachment; filename=\"{}\"", name));
  return response;
}

HttpResponse CpuAnswer(const ProfileParams& params, std::string body) {
  return ProfileAnswer("profile",
                       params.render.format == ProfileFormat::kCollapsed,
                       std::move(body));
}

HttpResponse SnapshotAnswer(ProfileKind kind, const SnapshotParams& params,
                            std::string body) {
  return ProfileAnswer(
      fmt::format("{}{}", Describe(kind).name, params.is_delta ? "-delta" : ""),
      params.profile.render.format != ProfileFormat::kPprof, std::move(body));
}

HttpResponse HeapAnswer(const HeapParams& params, std::string body) {
  return ProfileAnswer(
      fmt::format("{}{}", Describe(params.view.kind).name,
                  params.view.is_delta ? "-delta" : ""),
      params.view.is_text || params.render.format == ProfileFormat::kCollapsed,
      std::move(body));
}

}  // namespace

asio::awaitable<HttpResponse> Handlers::CpuProfile(const Call& call) {
  if (!call.pid.ok()) co_return TextError(400, call.pid.status().message());
  int32_t pid = *call.pid;
  Result<ProfileParams> params = ParseProfileParams(
      call.target.query, pid, clock_->Wall(), options_.limits);
  if (!params.ok()) co_return TextError(400, params.status().message());
  if (call.is_head) {
    HttpResponse head = co_await ProbeProfile(pid, params->history.has_value(),
                                              CpuAnswer(*params, ""));
    co_return head;
  }
  Result<EncodedProfile> profile =
      Status(StatusCode::kUnsupported, "no measurement");
  if (params->history) {
    profile = co_await Recall(*params);
  } else {
    profile = co_await Measure(*params);
  }
  if (!profile.ok()) co_return ProfileError(profile.status(), pid);
  if (pid != 0) {
    recent_pids_.Remember(call.request->client, pid, clock_->Boot());
  }
  co_return CpuAnswer(*params, std::move(profile->body));
}

asio::awaitable<HttpResponse> Handlers::Heap(const Call& call) {
  HttpResponse response = co_await HeapProfile(call, ProfileKind::kHeap);
  co_return response;
}

asio::awaitable<HttpResponse> Handlers::Allocs(const Call& call) {
  HttpResponse response = co_await HeapProfile(call, ProfileKind::kAllocs);
  co_return response;
}

asio::awaitable<HttpResponse> Handlers::Rss(const Call& call) {
  HttpResponse response = co_await Snapshot(call, ProfileKind::kRss);
  co_return response;
}

asio::awaitable<HttpResponse> Handlers::Snapshot(const Call& call,
                                                 ProfileKind kind) {
  if (!call.pid.ok()) co_return TextError(400, call.pid.status().message());
  int32_t pid = *call.pid;
  if (pid == 0) co_return TextError(400, "pid parameter is required");
  Result<SnapshotParams> params = ParseSnapshotParams(
      call.target.query, pid, kind, clock_->Wall(), options_.limits);
  if (!params.ok()) co_return TextError(400, params.status().message());
  if (call.is_head) {
    HttpResponse head = co_await ProbeProfile(
        pid, !params->is_delta, SnapshotAnswer(kind, *params, ""));
    co_return head;
  }
  Result<EncodedProfile> profile =
      Status(StatusCode::kUnsupported, "no measurement");
  if (params->is_delta) {
    profile = co_await Measure(params->profile);
  } else {
    profile = co_await Recall(params->profile);
  }
  if (!profile.ok()) co_return ProfileError(profile.status(), pid);
  recent_pids_.Remember(call.request->client, pid, clock_->Boot());
  co_return SnapshotAnswer(kind, *params, std::move(profile->body));
}

asio::awaitable<HttpResponse> Handlers::HeapProfile(const Call& call,
                                                    ProfileKind kind) {
  if (!call.pid.ok()) co_return TextError(400, call.pid.status().message());
  int32_t pid = *call.pid;
  if (pid == 0) co_return TextError(400, "pid parameter is required");
  Result<HeapParams> params = ParseHeapParams(call.target.query, pid, kind,
                                              clock_->Wall(), options_.limits);
  if (!params.ok()) co_return TextError(400, params.status().message());
  if (call.is_head) {
    HttpResponse head =
        co_await ProbeProfile(pid, false, HeapAnswer(*params, ""));
    co_return head;
  }
  Result<EncodedProfile> profile = co_await MeasureHeap(*params);
  if (!profile.ok()) co_return ProfileError(profile.status(), pid);
  recent_pids_.Remember(call.request->client, pid, clock_->Boot());
  co_return HeapAnswer(*params, std::move(profile->body));
}

asio::awaitable<Result<EncodedProfile>> Handlers::MeasureHeap(
    HeapParams params) {
  using OwnedWatch = std::unique_ptr<HeapWatch>;
  auto start = [service = service_, request = params.request] {
    return service->WatchHeap(request);
  };
  Result<OwnedWatch> begun = co_await Ask<OwnedWatch>(std::move(start));
  if (!begun.ok()) {
    co_return begun.status().WithContext(CouldNotEnable(params.view.kind));
  }
  std::shared_ptr<HeapWatch> watch = std::move(*begun);
  std::chrono::milliseconds wait(0);
  if (watch->is_new()) wait = options_.first_heap_window;
  if (params.seconds) wait = std::chrono::seconds(*params.seconds);
  auto has_exited = [service = service_, watch] {
    return service->TargetExited(*watch);
  };
  bool waited = co_await WaitForCapture(
      has_exited, std::chrono::steady_clock::now() + wait);
  if (!waited) co_return Status(StatusCode::kIo, "the client left");
  auto finish = [service = service_, watch, view = params.view,
                 render = std::move(params.render)] {
    return service->RenderHeap(*watch, view, render);
  };
  Result<EncodedProfile> profile = co_await Ask<EncodedProfile>(
      std::move(finish), WorkerPool::Admission::kAlways);
  if (!profile.ok() && profile.status().code() != StatusCode::kTimeout) {
    co_return Status(StatusCode::kIo, profile.status().message())
        .WithContext("failed to collect profile");
  }
  co_return profile;
}

asio::awaitable<HttpResponse> Handlers::ProbeProfile(int32_t pid,
                                                     bool is_history,
                                                     HttpResponse answer) {
  if (pid != 0) {
    auto work = [service = service_, pid] {
      return service->DescribeProcess(pid);
    };
    Result<ProcessRow> process = co_await Ask<ProcessRow>(std::move(work));
    if (!process.ok()) co_return ProcessError(process.status(), pid);
    if (process->exited && !is_history) co_return NoSuchProcess(pid);
  }
  answer.has_length = false;
  co_return answer;
}

asio::awaitable<Result<EncodedProfile>> Handlers::Recall(ProfileParams params) {
  auto work = [service = service_, params] {
    return service->QueryHistory(*params.history, params.render);
  };
  ProfileKind kind = params.history->kind;
  Result<EncodedProfile> profile =
      co_await Ask<EncodedProfile>(std::move(work));
  if (profile.status().code() == StatusCode::kUnsupported) {
    co_return profile.status().WithContext(CouldNotEnable(kind));
  }
  co_return profile;
}

asio::awaitable<Result<EncodedProfile>> Handlers::Measure(
    ProfileParams params) {
  using OwnedCapture = std::unique_ptr<Capture>;
  auto start = [service = service_, request = params.capture] {
    return service->StartCapture(request);
  };
  Result<OwnedCapture> capture = co_await Ask<OwnedCapture>(std::move(start));
  if (!capture.ok()) {
    co_return capture.status().WithContext(CouldNotEnable(params.capture.kind));
  }
  auto end =
      std::chrono::steady_clock::now() + std::chrono::seconds(params.seconds);
  std::function<bool()> has_exited;
  if (params.capture.pid != 0) {
    has_exited = [service = service_, running = capture->get()] {
      return service->TargetExited(*running);
    };
  }
  bool waited = co_await WaitForCapture(std::move(has_exited), end);
  if (!waited) co_return Status(StatusCode::kIo, "the client left");
  auto finish = [service = service_, running = std::move(*capture),
                 render = std::move(params.render)]() mutable {
    return service->FinishCapture(std::move(running), render);
  };
  Result<EncodedProfile> profile = co_await Ask<EncodedProfile>(
      std::move(finish), WorkerPool::Admission::kAlways);
  if (!profile.ok() && profile.status().code() != StatusCode::kTimeout) {
    co_return Status(StatusCode::kIo, profile.status().message())
        .WithContext("failed to collect profile");
  }
  co_return profile;
}

asio::awaitable<bool> Handlers::WaitForCapture(std::function<bool()> has_exited,
                                               WorkerPool::TimePoint end) {
  auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  for (;;) {
    auto now = std::chrono::steady_clock::now();
    if (now >= end) co_return true;
    if (has_exited && has_exited()) co_return true;
    timer.expires_at(std::min<WorkerPool::TimePoint>(
        end, now + (has_exited ? options_.exit_poll : options_.slack)));
    auto [error] =
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return false;
  }
}

}  // namespace pprofd
