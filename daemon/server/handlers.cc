#include "daemon/server/handlers.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <iterator>
#include <string>
#include <utility>

#include "daemon/server/http_response.h"
#include "daemon/server/process_errors.h"
#include "daemon/server/text.h"
#include "daemon/server/why_page.h"

namespace pprofd {
namespace {

namespace asio = boost::asio;

constexpr std::string_view kGetHead = "GET, HEAD";
constexpr std::string_view kGetHeadPost = "GET, HEAD, POST";

constexpr ProfileLink kCpuLinks[] = {
    {"seconds=5", "the next 5 seconds"},
    {"from=-30s", "the last 30 seconds, at once"},
    {"from=-5m", "the last 5 minutes, at once"},
    {"seconds=5&format=collapsed", "the next 5 seconds as collapsed stacks"},
    {"from=-30s&format=collapsed", "the last 30 seconds as collapsed stacks"},
};

constexpr ProfileLink kHeapLinks[] = {
    {"debug=1", "as text, with memory statistics"},
    {"seconds=30", "what changes in the next 30 seconds"},
    {"from=-5m", "what changed in the last 5 minutes, as far as tracked"},
};

constexpr ProfileLink kRssLinks[] = {
    {"debug=1", "as text"},
    {"seconds=30", "the next 30 seconds"},
    {"from=-5m", "the last 5 minutes, at once"},
    {"from=-5m&format=collapsed", "the last 5 minutes as collapsed stacks"},
};

constexpr ProfileLink kWhyLinks[] = {{"format=json", "the same as JSON"}};

HttpResponse MethodNotAllowed(std::string_view allowed) {
  HttpResponse response = TextError(405, "Method Not Allowed");
  response.headers.emplace_back("Allow", allowed);
  return response;
}

HttpResponse Page(std::string html) {
  HttpResponse response = Answer(kHtml, std::move(html));
  response.headers.emplace_back("Content-Security-Policy", kPagePolicy);
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  return response;
}

std::string WithQuery(std::string path, const RequestTarget& target) {
  if (!target.raw_query.empty()) path += "?" + target.raw_query;
  return path;
}

Result<int32_t> RequestedPid(const PprofRoute& route, const Query& query) {
  std::string_view text = query.Get("pid");
  if (route.path_pid) {
    text = *route.path_pid;
  } else if (text.empty()) {
    return 0;
  }
  std::optional<int32_t> pid = ParsePid(text);
  if (!pid) return Status(StatusCode::kInvalid, "invalid value for \"pid\"");
  return *pid;
}

}  // namespace

const Handlers::Endpoint Handlers::kEndpoints[] = {
    {"", &Handlers::Index, false, {}, {}, {}},
    {"allocs", &Handlers::Allocs, false, ProfileKind::kAllocs,
     "Who asks for memory: all blocks allocated since tracking began, sampled. "
     "The same data as heap.",
     kHeapLinks},
    {"cmdline",
     &Handlers::CommandLine,
     false,
     {},
     "The command line, its arguments separated by NUL.",
     {}},
    {"heap", &Handlers::Heap, false, ProfileKind::kHeap,
     "Who holds memory: sampled blocks that were allocated since tracking "
     "began "
     "and not freed. Asking begins the tracking.",
     kHeapLinks},
    {"profile", &Handlers::CpuProfile, false, ProfileKind::kCpu,
     "Where CPU time goes. Samples for 30 seconds before it answers, unless "
     "seconds= says otherwise; from= and to= answer from history.",
     kCpuLinks},
    {"rss", &Handlers::Rss, false, ProfileKind::kRss,
     "What first touches memory, by which the process grows: sampled page "
     "faults of the time that history holds. Needs no allocator.",
     kRssLinks},
    {"symbol", &Handlers::Symbol, true, {}, {}, {}},
    {"why",
     &Handlers::Why,
     false,
     {},
     "Where the stacks and names of each file come from, what is missing, and "
     "what would mend it.",
     kWhyLinks},
};

Handlers::Handlers(asio::io_context& io, ProfileService* service,
                   const Clock* clock, const HandlerOptions& options)
    : service_(service),
      clock_(clock),
      options_(options),
      workers_(io, options.worker_threads, options.max_jobs) {}

const Handlers::Endpoint* Handlers::FindEndpoint(std::string_view name) {
  const Endpoint* found = std::find_if(
      std::begin(kEndpoints), std::end(kEndpoints),
      [name](const Endpoint& endpoint) { return endpoint.name == name; });
  return found == std::end(kEndpoints) ? nullptr : found;
}

std::vector<ProfileRow> Handlers::ListedRows(const ProcessRow& process) {
  std::vector<ProfileRow> rows;
  for (const Endpoint& endpoint : kEndpoints) {
    if (endpoint.description.empty()) continue;
    // Endpoints that are no snapshots count nothing, as in Go.
    uint64_t count = endpoint.kind
                         ? process.records[static_cast<size_t>(*endpoint.kind)]
                         : 0;
    rows.push_back(
        {endpoint.name, endpoint.description, count, endpoint.links});
  }
  return rows;
}

asio::awaitable<HttpResponse> Handlers::Handle(const HttpRequest& request) {
  std::optional<RequestTarget> target = ParseTarget(request.target);
  if (!target) co_return TextError(400, "malformed request target");
  if (!target->clean_location.empty()) {
    co_return Redirect(301, target->clean_location);
  }
  if (target->path == "/") co_return Redirect(302, "/debug/pprof/");
  PprofRoute route = ParseRoute(target->path);
  if (route.kind == PprofRoute::Kind::kOther) {
    co_return TextError(404, "404 page not found");
  }
  if (route.kind == PprofRoute::Kind::kSlashless) {
    co_return Redirect(301, WithQuery(target->raw_path + "/", *target));
  }
  Call call;
  call.request = &request;
  call.pid = RequestedPid(route, target->query);
  call.target = std::move(*target);
  call.route = std::move(route);
  call.is_head = request.method == "HEAD";
  HttpResponse response = co_await Dispatch(call);
  co_return response;
}

asio::awaitable<HttpResponse> Handlers::Dispatch(const Call& call) {
  const Endpoint* endpoint = FindEndpoint(call.route.name);
  const std::string& method = call.request->method;
  bool takes_post = endpoint != nullptr && endpoint->accepts_post;
  bool is_allowed =
      method == "GET" || method == "HEAD" || (method == "POST" && takes_post);
  if (!is_allowed) {
    co_return MethodNotAllowed(takes_post ? kGetHeadPost : kGetHead);
  }
  if (endpoint == nullptr) co_return TextError(404, "Unknown profile");
  HttpResponse response = co_await (this->*endpoint->method)(call);
  co_return response;
}

asio::awaitable<HttpResponse> Handlers::Index(const Call& call) {
  if (!call.pid.ok()) co_return TextError(400, call.pid.status().message());
  HttpResponse response;
  if (*call.pid == 0) {
    response = co_await HostIndex(call);
  } else {
    response = co_await ProcessIndex(call);
  }
  co_return response;
}

asio::awaitable<HttpResponse> Handlers::HostIndex(const Call& call) {
  std::optional<ProcessOrder> order =
      ParseProcessOrder(call.target.query.Get("sort"));
  if (!order) {
    co_return TextError(
        400, "invalid value for \"sort\" - must be cpu, pid or comm");
  }
  bool is_text = DebugLevel(call.target.query) > 0;
  auto work = [service = service_, is_text, order = *order,
               host = call.request->host]() -> Result<HttpResponse> {
    std::string description = service->HostDescription();
    if (is_text) {
      return Answer(kTextPlain, HostText(service->HostCounters(), description));
    }
    return Page(
        ProcessListPage(service->ListProcesses(), order, host, description));
  };
  Result<HttpResponse> page = co_await Ask<HttpResponse>(std::move(work));
  if (!page.ok()) co_return ProcessError(page.status(), 0);
  co_return std::move(page).value();
}

asio::awaitable<HttpResponse> Handlers::ProcessIndex(const Call& call) {
  int32_t pid = *call.pid;
  bool is_text = DebugLevel(call.target.query) > 0;
  bool is_path_form = call.route.path_pid.has_value();
  auto work = [service = service_, pid, is_text, is_path_form,
               host = call.request->host]() -> Result<HttpResponse> {
    ASSIGN_OR_RETURN(ProcessRow process, service->DescribeProcess(pid));
    std::string description = service->HostDescription();
    if (is_text) {
      ASSIGN_OR_RETURN(ProcessDiagnostics diagnostics,
                       service->DiagnoseProcess(pid));
      return Answer(kTextPlain,
                    ProcessText(process, diagnostics, service->HostCounters(),
                                description));
    }
    return Page(ProcessPage(process, ListedRows(process), is_path_form, host,
                            description));
  };
  Result<HttpResponse> page = co_await Ask<HttpResponse>(std::move(work));
  if (!page.ok()) co_return ProcessError(page.status(), pid);
  co_return std::move(page).value();
}

asio::awaitable<HttpResponse> Handlers::CommandLine(const Call& call) {
  if (!call.pid.ok()) co_return TextError(400, call.pid.status().message());
  int32_t pid = *call.pid;
  if (pid == 0) co_return TextError(400, "pid parameter is required");
  auto work = [service = service_, pid] { return service->CommandLine(pid); };
  Result<std::string> text = co_await Ask<std::string>(std::move(work));
  if (!text.ok()) co_return ProcessError(text.status(), pid);
  co_return Answer(kTextPlain, std::move(text).value());
}

asio::awaitable<HttpResponse> Handlers::Symbol(const Call& call) {
  using Names = std::vector<std::pair<uint64_t, std::string>>;
  // Never an error: one failing answer here makes pprof give up its report.
  std::string body = "num_symbols: 1\n";
  std::vector<uint64_t> addresses =
      ParseAddresses(call.request->method == "POST" ? call.request->body
                                                    : call.target.raw_query);
  int32_t pid = call.pid.ok() ? *call.pid : 0;
  if (pid == 0) {
    pid = recent_pids_.Recall(call.request->client, clock_->Boot()).value_or(0);
  }
  if (pid != 0 && !addresses.empty()) {
    auto work = [service = service_, pid,
                 wanted = std::move(addresses)]() -> Result<Names> {
      return service->LookUpSymbols(pid, wanted);
    };
    Result<Names> names = co_await Ask<Names>(std::move(work));
    if (names.ok()) {
      for (const auto& [address, name] : *names) {
        body += fmt::format("{:#x} {}\n", address, OneLine(name));
      }
    }
  }
  co_return Answer(kTextPlain, std::move(body));
}

asio::awaitable<HttpResponse> Handlers::Why(const Call& call) {
  if (!call.pid.ok()) co_return TextError(400, call.pid.status().message());
  int32_t pid = *call.pid;
  if (pid == 0) co_return TextError(400, "pid parameter is required");
  std::string_view format = call.target.query.Get("format");
  if (!format.empty() && format != "html" && format != "json") {
    co_return TextError(400,
                        "invalid value for \"format\" - must be html or json");
  }
  auto work = [service = service_, pid, is_json = format == "json",
               is_head = call.is_head,
               is_path_form =
                   call.route.path_pid.has_value()]() -> Result<HttpResponse> {
    ASSIGN_OR_RETURN(ProcessRow process, service->DescribeProcess(pid));
    ProcessExplanation explanation;
    if (!is_head) {
      ASSIGN_OR_RETURN(explanation, service->ExplainProcess(pid));
    }
    HttpResponse response =
        is_json ? Answer(kJson, WhyJson(process, explanation))
                : Page(WhyPage(process, explanation, is_path_form,
                               service->HostDescription()));
    if (is_head) {
      response.body.clear();
      response.has_length = false;
    }
    return response;
  };
  Result<HttpResponse> page = co_await Ask<HttpResponse>(std::move(work));
  if (!page.ok()) co_return ProcessError(page.status(), pid);
  co_return std::move(page).value();
}

}  // namespace pprofd
