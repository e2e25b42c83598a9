#include "daemon/server/handlers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "daemon/server/fake_profile_service.h"
#include "daemon/server/http_server.h"
#include "daemon/server/test_client.h"

namespace pprofd {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::HasSubstr;
using testing::Not;

constexpr char kUtf8Text[] = "text/plain; charset=utf-8";

class HandlersTest : public testing::Test {
 protected:
  HandlersTest() { options_.exit_poll = milliseconds(10); }
  ~HandlersTest() override {
    if (server_) server_->Stop();
    if (thread_.joinable()) thread_.join();
    server_.reset();
    handlers_.reset();
  }

  uint16_t port() {
    if (!server_) Start();
    return server_->port();
  }
  TestResponse Get(const std::string& target) { return Fetch(port(), target); }
  // A connection on which `target` was asked for.
  std::unique_ptr<TestClient> Begin(const std::string& target) {
    auto client = std::make_unique<TestClient>(port());
    client->Send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return client;
  }

  static void ExpectError(const TestResponse& response, int status,
                          const std::string& body) {
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.body, body + "\n");
    EXPECT_EQ(response.Header("content-type"), kUtf8Text);
    EXPECT_EQ(response.Header("x-content-type-options"), "nosniff");
    EXPECT_EQ(response.Header("x-go-pprof"), "1");
    EXPECT_EQ(response.headers.count("content-disposition"), 0u);
  }
  static void ExpectProfileHeaders(const TestResponse& response) {
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.Header("content-type"), "application/octet-stream");
    EXPECT_EQ(response.Header("content-disposition"),
              "attachment; filename=\"profile\"");
    EXPECT_EQ(response.Header("x-content-type-options"), "nosniff");
    EXPECT_EQ(response.headers.count("content-encoding"), 0u);
  }

  FakeProfileService service_;
  FakeClock clock_;
  HandlerOptions options_;

 private:
  void Start() {
    handlers_ = std::make_unique<Handlers>(io_, &service_, &clock_, options_);
    HttpServerOptions options;
    options.listen = "127.0.0.1:0";
    auto server =
        HttpServer::Listen(io_, options, [this](const HttpRequest& request) {
          return handlers_->Handle(request);
        });
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(server).value();
    thread_ = std::thread([this] { io_.run(); });
  }

  asio::io_context io_;
  std::unique_ptr<Handlers> handlers_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST_F(HandlersTest, RedirectsPathsWithoutTheirFinalSlash) {
  TestResponse response = Get("/debug/pprof");
  EXPECT_EQ(response.status, 301);
  EXPECT_EQ(response.Header("location"), "/debug/pprof/");
  EXPECT_EQ(Get("/debug/pprof?pid=7").Header("location"),
            "/debug/pprof/?pid=7");
  EXPECT_EQ(Get("/pid/7/debug/pprof").Header("location"),
            "/pid/7/debug/pprof/");
  EXPECT_EQ(Get("/debug/pprof//profile?pid=7").Header("location"),
            "/debug/pprof/profile?pid=7");
  EXPECT_EQ(Get("/").Header("location"), "/debug/pprof/");
}

TEST_F(HandlersTest, AnswersOtherPathsWith404) {
  ExpectError(Get("/nothing"), 404, "404 page not found");
  ExpectError(Get("/pid/7"), 404, "404 page not found");
}

TEST_F(HandlersTest, ListsProcessesByCpuWithLinks) {
  TestResponse response = Get("/debug/pprof/");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("content-type"), "text/html; charset=utf-8");
  EXPECT_THAT(response.Header("content-security-policy"),
              HasSubstr("default-src 'none'"));
  EXPECT_THAT(response.body, HasSubstr("<title>/debug/pprof/</title>"));
  EXPECT_THAT(response.body, HasSubstr("<a href='/debug/pprof/?pid=7'>7</a>"));
  EXPECT_THAT(response.body, HasSubstr("gone <em>exited</em>"));
  EXPECT_LT(response.body.find("?pid=7'"), response.body.find("?pid=2'"));
  std::string by_pid = Get("/debug/pprof/?sort=pid").body;
  EXPECT_LT(by_pid.find("?pid=2'"), by_pid.find("?pid=7'"));
  ExpectError(Get("/debug/pprof/?sort=x"), 400,
              "invalid value for \"sort\" - must be cpu, pid or comm");
}

TEST_F(HandlersTest, ShowsTheIndexOfOneProcessInTheQueryForm) {
  TestResponse response = Get("/debug/pprof/?pid=7");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr("<title>/debug/pprof/</title>"));
  EXPECT_THAT(response.body, HasSubstr("Types of profiles available:"));
  EXPECT_THAT(response.body,
              HasSubstr("<tr><td>0</td><td><a href='cmdline?debug=1&pid=7'>"
                        "cmdline</a></td></tr>\n"
                        "<tr><td>3</td><td><a href='heap?debug=1&pid=7'>"
                        "heap</a></td></tr>\n"
                        "<tr><td>0</td><td><a href='profile?debug=1&pid=7'>"
                        "profile</a></td></tr>\n"));
  EXPECT_THAT(response.body, HasSubstr("href='profile?pid=7&seconds=5'"));
  EXPECT_THAT(response.body, HasSubstr("href='profile?pid=7&from=-30s'"));
  EXPECT_THAT(response.body, HasSubstr("/usr/bin/worker"));
  EXPECT_THAT(response.body, HasSubstr("worker --threads 4"));
  for (size_t at = 0;
       (at = response.body.find("href='", at)) != std::string::npos; ++at) {
    std::string href =
        response.body.substr(at, response.body.find('\'', at + 6) - at);
    EXPECT_THAT(href, HasSubstr("pid=7"));
  }
}

TEST_F(HandlersTest, KeepsLinksRelativeInThePathForm) {
  TestResponse response = Get("/pid/7/debug/pprof/");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr("<a href='profile?debug=1'>profile"));
  EXPECT_THAT(response.body, HasSubstr("href='profile?seconds=5'"));
}

TEST_F(HandlersTest, EscapesWhatProcessesSayOfThemselves) {
  for (const char* target : {"/debug/pprof/", "/debug/pprof/?pid=9"}) {
    std::string body = Get(target).body;
    EXPECT_THAT(body, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
    EXPECT_THAT(body, Not(HasSubstr("<script")));
    EXPECT_THAT(body, HasSubstr("&lt;b&gt;&amp;&#39;&#34;"));
  }
}

TEST_F(HandlersTest, ShowsDiagnosticsAsText) {
  TestResponse process = Get("/debug/pprof/?pid=7&debug=1");
  EXPECT_EQ(process.Header("content-type"), kUtf8Text);
  EXPECT_THAT(process.body, HasSubstr("pid 7 comm=worker"));
  EXPECT_THAT(process.body, HasSubstr("coverage 95.0 %"));
  EXPECT_THAT(process.body, HasSubstr("complete 190 (95.0 %)"));
  EXPECT_THAT(process.body, HasSubstr("  no unwind rows 4 (2.0 %)"));
  TestResponse host = Get("/debug/pprof/?debug=1");
  EXPECT_THAT(host.body, HasSubstr("samples_read 1234  # samples decoded"));
  EXPECT_EQ(Get("/debug/pprof/?debug=abc").Header("content-type"),
            "text/html; charset=utf-8");
}

TEST_F(HandlersTest, GivesTheCommandLineByteForByte) {
  TestResponse response = Get("/debug/pprof/cmdline?pid=7");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("content-type"), kUtf8Text);
  EXPECT_EQ(response.body, std::string("worker\0--threads\0"
                                       "4",
                                       18));
  EXPECT_EQ(Get("/pprof/cmdline?pid=2").body, "[kthreadd]");
}

TEST_F(HandlersTest, ExplainsAProcessAsAPage) {
  TestResponse response = Get("/debug/pprof/why?pid=7");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(response.Header("x-content-type-options"), "nosniff");
  EXPECT_THAT(response.Header("content-security-policy"),
              HasSubstr("default-src 'none'"));
  EXPECT_THAT(response.body, HasSubstr("321 rows"));
  EXPECT_THAT(response.body, HasSubstr("apt-get install &#39;x &amp; y&#39;"));
  EXPECT_THAT(response.body, Not(HasSubstr("<script>")));
  EXPECT_THAT(Get("/debug/pprof/?pid=7").body,
              HasSubstr("<a href='why?pid=7&format=json'>"));
}

TEST_F(HandlersTest, ExplainsAProcessAsJson) {
  TestResponse response = Get("/pid/7/debug/pprof/why?format=json");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("content-type"), "application/json");
  EXPECT_THAT(response.body,
              testing::StartsWith("{\"pid\":7,\"comm\":\"worker\""));
  EXPECT_EQ(response.body, Get("/debug/pprof/why?pid=7&format=json").body);
}

TEST_F(HandlersTest, RefusesToExplainNobodyAndInAnUnknownForm) {
  ExpectError(Get("/debug/pprof/why"), 400, "pid parameter is required");
  ExpectError(Get("/debug/pprof/why?pid=x"), 400, "invalid value for \"pid\"");
  ExpectError(Get("/debug/pprof/why?pid=99"), 404, "no such process: 99");
  ExpectError(Get("/debug/pprof/why?pid=7&format=xml"), 400,
              "invalid value for \"format\" - must be html or json");
  EXPECT_EQ(Fetch(port(), "/debug/pprof/why?pid=7", "POST").status, 405);
}

TEST_F(HandlersTest, ProbingAnExplanationExaminesNothing) {
  TestResponse head = Fetch(port(), "/debug/pprof/why?pid=7", "HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(Fetch(port(), "/debug/pprof/why?pid=99", "HEAD").status, 404);
  EXPECT_EQ(service_.explained(), 0);
}

TEST_F(HandlersTest, AnswersBothUrlFormsAlike) {
  EXPECT_EQ(Get("/pid/7/debug/pprof/cmdline").body,
            Get("/debug/pprof/cmdline?pid=7").body);
  ExpectProfileHeaders(Get("/pid/7/debug/pprof/profile?from=-30s"));
  ExpectProfileHeaders(Get("/pid/7/pprof/profile?from=-30s"));
  EXPECT_EQ(service_.last_history()->pid, 7);
}

TEST_F(HandlersTest, RefusesUnknownNames) {
  for (const char* name : {"nosuch", "goroutines", "Heap", "Profile",
                           "profile/", "heap/", "%70rofile%2f"}) {
    ExpectError(Get(std::string("/debug/pprof/") + name + "?pid=7"), 404,
                "Unknown profile");
  }
}

TEST_F(HandlersTest, RefusesMissingMalformedAndDeadPids) {
  ExpectError(Get("/debug/pprof/cmdline"), 400, "pid parameter is required");
  ExpectError(Get("/debug/pprof/cmdline?pid="), 400,
              "pid parameter is required");
  for (const char* endpoint : {"cmdline", "profile", "heap", "allocs", ""}) {
    for (const char* pid : {"abc", "0", "-3", "99999999", "0x7", "%207"}) {
      ExpectError(Get(std::string("/debug/pprof/") + endpoint + "?pid=" + pid),
                  400, "invalid value for \"pid\"");
    }
    ExpectError(Get(std::string("/debug/pprof/") + endpoint + "?pid=99"), 404,
                "no such process: 99");
  }
  ExpectError(Get("/pid/abc/debug/pprof/profile"), 400,
              "invalid value for \"pid\"");
}

TEST_F(HandlersTest, SnapshotsOfTheHeapComeAtOnceWhenItIsTracked) {
  TestResponse heap = Get("/debug/pprof/heap?pid=7&gc=1&rate=1000");
  EXPECT_EQ(heap.status, 200);
  EXPECT_EQ(heap.Header("content-disposition"),
            "attachment; filename=\"heap\"");
  EXPECT_EQ(service_.last_heap().period_bytes, 1000u);
  EXPECT_FALSE(service_.last_view().is_delta);
  TestResponse allocs = Get("/pid/7/debug/pprof/allocs");
  EXPECT_EQ(allocs.Header("content-disposition"),
            "attachment; filename=\"allocs\"");
  EXPECT_EQ(service_.last_view().kind, ProfileKind::kAllocs);
  EXPECT_EQ(service_.last_heap().period_bytes, 0u);
}

TEST_F(HandlersTest, TheFirstAnswerAboutAHeapGathersSome) {
  options_.first_heap_window = milliseconds(300);
  service_.SetWatchIsNew(true);
  auto start = steady_clock::now();
  EXPECT_EQ(Get("/debug/pprof/heap?pid=7").status, 200);
  EXPECT_GE(steady_clock::now() - start, milliseconds(300));
}

TEST_F(HandlersTest, HeapDifferencesTakeTheirTimeOrEndWithTheProcess) {
  auto start = steady_clock::now();
  TestResponse delta = Get("/debug/pprof/heap?pid=7&seconds=1&seconds=9");
  EXPECT_EQ(delta.Header("content-disposition"),
            "attachment; filename=\"heap-delta\"");
  EXPECT_TRUE(service_.last_view().is_delta);
  EXPECT_GE(steady_clock::now() - start, milliseconds(1000));
  auto client = Begin("/debug/pprof/allocs?pid=7&seconds=30");
  service_.LetTargetExit();
  EXPECT_EQ(client->Read().Header("content-disposition"),
            "attachment; filename=\"allocs-delta\"");
}

TEST_F(HandlersTest, HeapTextIsNoAttachment) {
  TestResponse text = Get("/debug/pprof/heap?pid=7&debug=1");
  EXPECT_EQ(text.Header("content-type"), kUtf8Text);
  EXPECT_EQ(text.headers.count("content-disposition"), 0u);
  EXPECT_TRUE(service_.last_view().is_text);
  Get("/debug/pprof/heap?pid=7&debug=abc");
  EXPECT_FALSE(service_.last_view().is_text);
}

TEST_F(HandlersTest, HeapParametersAreCheckedInGosOrder) {
  for (const char* seconds : {"0", "-1", "abc", "1.5", "0x1"}) {
    ExpectError(
        Get(std::string("/debug/pprof/heap?pid=7&debug=1&seconds=") + seconds),
        400, "invalid value for \"seconds\" - must be a positive integer");
  }
  ExpectError(Get("/debug/pprof/heap?pid=7&seconds=1&debug=1"), 400,
              "seconds and debug params are incompatible");
  ExpectError(Get("/debug/pprof/heap?pid=7&seconds=99999"), 400,
              "invalid value for \"seconds\" - must be at most 3600");
  ExpectError(Get("/debug/pprof/heap?pid=7&seconds=1&from=-5m"), 400,
              "seconds and from params are incompatible");
  ExpectError(Get("/debug/pprof/heap?pid=7&rate=0"), 400,
              "invalid value for \"rate\" - must be bytes between 1 and "
              "1073741824");
  for (const char* name : {"tid", "labels", "unit", "kernel"}) {
    ExpectError(Get(std::string("/debug/pprof/heap?pid=7&") + name + "=1"), 400,
                std::string("\"") + name +
                    "\" parameter is not supported for this profile type");
  }
  ExpectError(Get("/debug/pprof/heap"), 400, "pid parameter is required");
  ExpectError(Get("/debug/pprof/heap?pid=2"), 500,
              "Could not enable heap profiling: a kernel thread has no heap");
  service_.FailStart(Status(StatusCode::kExhausted, "too many"));
  EXPECT_EQ(Get("/debug/pprof/heap?pid=7").status, 503);
}

TEST_F(HandlersTest, RssComesFromHistoryAtOnce) {
  for (const char* target :
       {"/debug/pprof/rss?pid=7", "/pid/7/debug/pprof/rss"}) {
    TestResponse response = Get(target);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.Header("content-type"), "application/octet-stream");
    EXPECT_EQ(response.Header("content-disposition"),
              "attachment; filename=\"rss\"");
    EXPECT_EQ(service_.last_history()->kind, ProfileKind::kRss);
    EXPECT_EQ(service_.last_history()->pid, 7);
  }
  EXPECT_EQ(Get("/debug/pprof/rss?pid=8").status, 200);
  EXPECT_EQ(service_.started(), 0);
  ExpectError(Get("/debug/pprof/rss"), 400, "pid parameter is required");
  ExpectError(Get("/debug/pprof/rss?pid=99"), 404, "no such process: 99");
}

TEST_F(HandlersTest, RssOfSecondsToComeIsADelta) {
  service_.LetTargetExit();
  TestResponse response = Get("/debug/pprof/rss?pid=7&seconds=30");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("content-disposition"),
            "attachment; filename=\"rss-delta\"");
  EXPECT_EQ(service_.last_capture().kind, ProfileKind::kRss);
  EXPECT_EQ(service_.started(), 1);
}

TEST_F(HandlersTest, RssAsTextIsNoAttachment) {
  TestResponse response = Get("/debug/pprof/rss?pid=7&debug=1");
  EXPECT_EQ(response.Header("content-type"), kUtf8Text);
  EXPECT_EQ(response.headers.count("content-disposition"), 0u);
  EXPECT_EQ(response.body, "heap profile: ");
}

TEST_F(HandlersTest, SaysWhyThereIsNoRss) {
  Status why(StatusCode::kUnsupported, "rss.enabled is false");
  service_.FailHistory(why);
  service_.FailStart(why);
  for (const char* target :
       {"/debug/pprof/rss?pid=7", "/debug/pprof/rss?pid=7&from=-5m",
        "/debug/pprof/rss?pid=7&seconds=1"}) {
    ExpectError(Get(target), 500,
                "Could not enable rss profiling: rss.enabled is false");
  }
}

TEST_F(HandlersTest, HeadOfRssMeasuresNothing) {
  TestResponse head =
      Fetch(port(), "/debug/pprof/rss?pid=7&seconds=30", "HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("content-disposition"),
            "attachment; filename=\"rss-delta\"");
  EXPECT_EQ(service_.started(), 0);
  EXPECT_EQ(Fetch(port(), "/debug/pprof/rss?pid=8", "HEAD").status, 200);
  EXPECT_EQ(Fetch(port(), "/debug/pprof/rss?pid=8&seconds=1", "HEAD").status,
            404);
}

TEST_F(HandlersTest, HeadOfAHeapTracksNothing) {
  TestResponse head = Fetch(port(), "/debug/pprof/heap?pid=7", "HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("content-disposition"),
            "attachment; filename=\"heap\"");
  EXPECT_EQ(service_.last_heap().pid, 0);
}

TEST_F(HandlersTest, AllowsPostOnSymbolOnly) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
    TestResponse response = Fetch(port(), "/debug/pprof/profile?pid=7", method);
    ExpectError(response, 405, "Method Not Allowed");
    EXPECT_EQ(response.Header("allow"), "GET, HEAD");
  }
  EXPECT_EQ(Fetch(port(), "/debug/pprof/heap", "POST").status, 405);
  EXPECT_EQ(Fetch(port(), "/debug/pprof/symbol", "POST", "x").status, 200);
  EXPECT_EQ(Fetch(port(), "/debug/pprof/symbol", "PUT").Header("allow"),
            "GET, HEAD, POST");
}

TEST_F(HandlersTest, MeasuresForTheSecondsAskedAndServesSeveralAtOnce) {
  auto start = steady_clock::now();
  auto first = Begin("/debug/pprof/profile?pid=7&seconds=1&debug=1");
  auto second = Begin("/pprof/profile?pid=7&seconds=1&seconds=60");
  auto whole_host = Begin("/debug/pprof/profile?seconds=1");
  EXPECT_TRUE(service_.WaitForRunning(3));
  for (auto& client : {first.get(), second.get(), whole_host.get()}) {
    TestResponse response = client->Read();
    ExpectProfileHeaders(response);
    EXPECT_EQ(response.body.substr(0, 2), "\x1f\x8b");
  }
  auto elapsed = steady_clock::now() - start;
  EXPECT_GE(elapsed, milliseconds(1000));
  EXPECT_LT(elapsed, milliseconds(3000));
  EXPECT_EQ(service_.finished(), 3);
}

TEST_F(HandlersTest, AnswersEarlyWhenTheTargetExits) {
  auto client = Begin("/debug/pprof/profile?pid=7&seconds=30");
  EXPECT_TRUE(service_.WaitForRunning(1));
  service_.LetTargetExit();
  ExpectProfileHeaders(client->Read());
  EXPECT_EQ(service_.finished(), 1);
}

TEST_F(HandlersTest, DestroysTheCaptureWhenTheClientLeaves) {
  for (const char* target : {"/debug/pprof/profile?pid=7&seconds=30",
                             "/debug/pprof/profile?seconds=30",
                             "/debug/pprof/profile?pid=7&seconds=abc"}) {
    auto client = Begin(target);
    EXPECT_TRUE(service_.WaitForRunning(1));
    auto left = steady_clock::now();
    client->Close();
    EXPECT_TRUE(service_.WaitForRunning(0));
    EXPECT_LT(steady_clock::now() - left, milliseconds(1000));
  }
  EXPECT_EQ(service_.finished(), 0);
}

TEST_F(HandlersTest, RefusesWorkAboveItsBoundAndRecovers) {
  options_.worker_threads = 1;
  options_.max_jobs = 1;
  service_.BlockFinish();
  service_.LetTargetExit();
  auto client = Begin("/debug/pprof/profile?pid=7&seconds=30");
  EXPECT_TRUE(service_.WaitForBlocked());
  TestResponse busy = Get("/debug/pprof/profile?pid=7&seconds=1");
  ExpectError(busy, 503, "too many concurrent profiles");
  EXPECT_EQ(busy.Header("retry-after"), "1");
  EXPECT_EQ(Get("/debug/pprof/?pid=7").status, 503);
  // An answer without names is better than none.
  EXPECT_EQ(Get("/debug/pprof/symbol?0x2000&pid=7").body, "num_symbols: 1\n");
  service_.Release();
  ExpectProfileHeaders(client->Read());
  EXPECT_EQ(Get("/debug/pprof/?pid=7").status, 200);
}

TEST_F(HandlersTest, EndsARequestThatTakesLongerThanItsSlack) {
  options_.slack = milliseconds(50);
  service_.BlockFinish();
  service_.LetTargetExit();
  auto client = Begin("/debug/pprof/profile?pid=7&seconds=30");
  EXPECT_EQ(client->Read().status, 503);
  service_.Release();
  EXPECT_TRUE(service_.WaitForRunning(0));
}

TEST_F(HandlersTest, SaysWhyAProfileCannotStart) {
  ExpectError(Get("/debug/pprof/profile?pid=2&seconds=1"), 500,
              "Could not enable CPU profiling: it is a kernel thread");
  service_.FailStart(Status(StatusCode::kExhausted, "64 captures run"));
  TestResponse response = Get("/debug/pprof/profile?pid=7&seconds=1");
  ExpectError(response, 503, "too many concurrent profiles");
  EXPECT_NE(response.Header("retry-after"), "");
  service_.FailStart(Status(StatusCode::kDenied, "no\nrights"));
  ExpectError(Get("/debug/pprof/profile?pid=7&seconds=1"), 500,
              "Could not enable CPU profiling: no rights");
}

TEST_F(HandlersTest, RefusesTooManySecondsAtOnce) {
  for (const char* seconds :
       {"3601", "999999", "9223372036854775807", "99999999999999999999999"}) {
    ExpectError(
        Get(std::string("/debug/pprof/profile?pid=7&seconds=") + seconds), 400,
        "invalid value for \"seconds\" - must be at most 3600");
  }
  EXPECT_EQ(service_.started(), 0);
}

TEST_F(HandlersTest, PassesParametersOn) {
  service_.LetTargetExit();
  Get("/debug/pprof/profile?pid=7&hz=250&kernel=0&tid=12&demangle=full"
      "&labels=tid,comm");
  EXPECT_EQ(service_.last_capture().hz, 250u);
  EXPECT_EQ(service_.last_capture().pid, 7);
  RenderOptions render = service_.last_render();
  EXPECT_FALSE(render.include_kernel);
  EXPECT_EQ(render.only_tid, 12);
  EXPECT_EQ(render.demangle, DemangleStyle::kFull);
  EXPECT_THAT(render.labels, testing::ElementsAre("tid", "comm"));
}

TEST_F(HandlersTest, AnswersThePastAtOnce) {
  ExpectProfileHeaders(Get("/debug/pprof/profile?pid=8&from=-30s&to=-10s"));
  HistoryRequest history = *service_.last_history();
  EXPECT_EQ(history.pid, 8);
  EXPECT_EQ(history.from.ns, clock_.Wall().ns - 30'000'000'000);
  EXPECT_EQ(history.to.ns, clock_.Wall().ns - 10'000'000'000);
  ExpectProfileHeaders(Get("/debug/pprof/profile?from=-1m"));
  EXPECT_EQ(service_.last_history()->pid, 0);
  ExpectError(Get("/debug/pprof/profile?pid=99&from=-30s"), 404,
              "no such process: 99");
  EXPECT_EQ(Get("/debug/pprof/profile?pid=7&from=yesterday").status, 400);
  EXPECT_EQ(Get("/debug/pprof/profile?pid=7&from=-5s&to=-10s").status, 400);
  EXPECT_EQ(service_.started(), 0);
}

TEST_F(HandlersTest, GivesCollapsedStacksAsText) {
  TestResponse response =
      Get("/debug/pprof/profile?pid=7&from=-30s&format=collapsed&unit=ns");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("content-type"), kUtf8Text);
  EXPECT_EQ(response.headers.count("content-disposition"), 0u);
  EXPECT_EQ(response.body, "main;work;leaf 3\n");
  EXPECT_TRUE(service_.last_render().unit_is_ns);
}

TEST_F(HandlersTest, AnswersHeadWithoutMeasuring) {
  auto start = steady_clock::now();
  TestResponse head =
      Fetch(port(), "/debug/pprof/profile?pid=7&seconds=30", "HEAD");
  EXPECT_LT(steady_clock::now() - start, milliseconds(500));
  ExpectProfileHeaders(head);
  EXPECT_EQ(service_.started(), 0);
  EXPECT_EQ(Fetch(port(), "/debug/pprof/profile?pid=99", "HEAD").status, 404);
  EXPECT_EQ(Fetch(port(), "/debug/pprof/profile?pid=8", "HEAD").status, 404);
  EXPECT_EQ(Fetch(port(), "/debug/pprof/profile?pid=8&from=-5m", "HEAD").status,
            200);
  EXPECT_EQ(Fetch(port(), "/debug/pprof/profile?hz=0", "HEAD").status, 400);
  EXPECT_EQ(Fetch(port(), "/debug/pprof/", "HEAD").Header("content-length"),
            std::to_string(Get("/debug/pprof/").body.size()));
}

TEST_F(HandlersTest, NamesAddresses) {
  EXPECT_EQ(Get("/debug/pprof/symbol?pid=7").body, "num_symbols: 1\n");
  EXPECT_EQ(Get("/debug/pprof/symbol?0x2000+zzz+8192+0x10&pid=7").body,
            "num_symbols: 1\n0x2000 ns::hot(int)\n0x2000 ns::hot(int)\n");
  EXPECT_EQ(
      Fetch(port(), "/pid/7/debug/pprof/symbol", "POST", "0x2000+0x3000").body,
      "num_symbols: 1\n0x2000 ns::hot(int)\n0x3000 ns::hot(int)\n");
  EXPECT_EQ(Fetch(port(), "/pprof/symbol", "POST", "0x2000").body,
            "num_symbols: 1\n");
  EXPECT_EQ(Get("/debug/pprof/symbol?pid=abc&0x2000").status, 200);
}

TEST_F(HandlersTest, NamesAddressesOfTheProcessTheClientFetchedLast) {
  Get("/debug/pprof/profile?pid=7&from=-30s");
  TestResponse response =
      Fetch(port(), "/debug/pprof/symbol", "POST", "0x2000");
  EXPECT_EQ(response.body, "num_symbols: 1\n0x2000 ns::hot(int)\n");
  EXPECT_EQ(service_.last_symbol_pid(), 7);
}

TEST_F(HandlersTest, ChangesNothingForClientsThatAcceptGzip) {
  TestClient client(port());
  client.Send(
      "GET /debug/pprof/profile?pid=7&from=-30s HTTP/1.0\r\n"
      "Accept-Encoding: gzip\r\n\r\n");
  TestResponse response = client.Read();
  ExpectProfileHeaders(response);
  EXPECT_EQ(response.body.substr(0, 2), "\x1f\x8b");
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(HandlersTest, DropsPairsThatHoldASemicolon) {
  ExpectError(Get("/debug/pprof/cmdline?pid=7;seconds=3"), 400,
              "pid parameter is required");
}

}  // namespace
}  // namespace pprofd
