#include "daemon/server/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <thread>
#include <vector>

#include "daemon/base/telemetry.h"
#include "daemon/server/http_response.h"
#include "daemon/server/test_client.h"

namespace pprofd {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";

asio::awaitable<HttpResponse> Echo(const HttpRequest& request) {
  co_return Answer(kTextPlain,
                   request.method + " " + request.target + " " + request.body);
}

// A server on its own thread; destroying it proves that Stop empties the loop.
class TestServer {
 public:
  explicit TestServer(HttpServerOptions options = {},
                      HttpHandler handler = Echo) {
    options.listen = "127.0.0.1:0";
    Result<std::unique_ptr<HttpServer>> server =
        HttpServer::Listen(io_, options, std::move(handler));
    EXPECT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(server).value();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~TestServer() { StopAndWait(); }

  void Stop() { server_->Stop(); }
  void StopAndWait() {
    server_->Stop();
    if (thread_.joinable()) thread_.join();
  }
  uint16_t port() const { return server_->port(); }
  asio::io_context& io() { return io_; }

 private:
  asio::io_context io_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

// A handler that says when it has begun, then waits until its client leaves.
struct WaitingHandler {
  std::promise<void> begun;
  std::promise<void> cancelled;

  HttpHandler handler() {
    return [this](const HttpRequest& request) { return Handle(request); };
  }
  asio::awaitable<HttpResponse> Handle(const HttpRequest& request) {
    if (request.target == "/x") {
      HttpResponse plain = co_await Echo(request);
      co_return plain;
    }
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer.expires_after(std::chrono::hours(1));
    begun.set_value();
    auto [error] =
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) cancelled.set_value();
    co_return TextError(500, "cancelled");
  }
};

constexpr std::string_view kGetWait =
    "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr auto kSoon = std::chrono::seconds(10);

TEST(HttpServer, KeepsTheConnectionForTheNextRequest) {
  TestServer server;
  TestClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.Send(kGet);
    TestResponse response = client.Read();
    EXPECT_EQ(response.version, "HTTP/1.1");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "GET /x ");
    EXPECT_EQ(response.Header("connection"), "");
    EXPECT_NE(response.Header("date"), "");
  }
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  TestServer server;
  TestClient client(server.port());
  client.Send(
      "GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
      "POST /2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab"
      "GET /3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.Read().body, "GET /1 ");
  EXPECT_EQ(client.Read().body, "POST /2 ab");
  TestResponse last = client.Read();
  EXPECT_EQ(last.body, "GET /3 ");
  EXPECT_EQ(last.Header("connection"), "close");
  EXPECT_TRUE(client.AtEnd());
}

TEST(HttpServer, ClosesAfterAnHttp10Answer) {
  TestServer server;
  TestClient client(server.port());
  client.Send("GET /x HTTP/1.0\r\n\r\n");
  TestResponse response = client.Read();
  EXPECT_EQ(response.version, "HTTP/1.0");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "GET /x ");
  EXPECT_TRUE(client.AtEnd());
}

TEST(HttpServer, KeepsAnHttp10ConnectionOnRequest) {
  TestServer server;
  TestClient client(server.port());
  for (int i = 0; i < 2; ++i) {
    client.Send("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(client.Read().Header("connection"), "keep-alive");
  }
}

TEST(HttpServer, SendsNoBodyAfterHead) {
  TestServer server;
  TestClient client(server.port());
  client.Send("HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.Read(true).Header("content-length"), "8");
  client.Send(kGet);
  EXPECT_EQ(client.Read().body, "GET /x ");
}

TEST(HttpServer, ReadsAChunkedBody) {
  TestServer server;
  TestClient client(server.port());
  client.Send(
      "POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
      "\r\n3\r\nabc\r\n0\r\n\r\n");
  EXPECT_EQ(client.Read().body, "POST /x abc");
}

TEST(HttpServer, AsksForTheBodyThatAClientHoldsBack) {
  TestServer server;
  TestClient client(server.port());
  client.Send(
      "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.Read().status, 100);
  client.Send("ab");
  EXPECT_EQ(client.Read().body, "POST /x ab");
}

struct BadRequest {
  std::string bytes;
  int status;
};

TEST(HttpServer, RefusesMalformedAndOversizedRequests) {
  const std::vector<BadRequest> cases = {
      {"nonsense\r\n\r\n", 400},
      {"GET /x HTTP/1.1\r\n\r\n", 400},
      {"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET /x HTTP/1.1\r\nHost : a\r\n\r\n", 400},
      {"GET /x HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(17000, 'x') +
           "\r\n\r\n",
       431},
      {"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n" +
           std::string(65537, 'x'),
       413},
      {"POST /x HTTP/1.1\r\nHost: localhost\r\n"
       "Transfer-Encoding: chunked\r\n\r\n11000\r\n" +
           std::string(0x11000, 'x') + "\r\n0\r\n\r\n",
       413},
      {"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
       "Content-Length: 2\r\n\r\nab",
       400},
  };
  TestServer server;
  for (const BadRequest& bad : cases) {
    TestClient client(server.port());
    client.Send(bad.bytes);
    TestResponse response = client.Read();
    EXPECT_EQ(response.status, bad.status) << bad.bytes.substr(0, 60);
    EXPECT_EQ(response.Header("x-go-pprof"), "1");
    EXPECT_EQ(response.Header("connection"), "close");
  }
}

TEST(HttpServer, RefusesForeignHostsOnALoopbackAddress) {
  TestServer server;
  auto status = [&server](const std::string& head) {
    TestClient client(server.port());
    client.Send(head);
    return client.Read().status;
  };
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 403);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: evil.example:6066\r\n\r\n"), 403);
  EXPECT_EQ(status("GET http://evil.example/ HTTP/1.1\r\n"
                   "Host: localhost\r\n\r\n"),
            403);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n"), 200);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n"), 200);
  EXPECT_EQ(status("GET http://localhost/ HTTP/1.1\r\n"
                   "Host: localhost\r\n\r\n"),
            200);
}

TEST(HttpServer, CutsAClientThatSendsItsRequestTooSlowly) {
  HttpServerOptions options;
  options.read_timeout = milliseconds(50);
  TestServer server(options);
  TestClient client(server.port());
  client.Send("GET /x HT");
  EXPECT_TRUE(client.AtEnd());
}

TEST(HttpServer, ClosesAnIdleConnection) {
  HttpServerOptions options;
  options.idle_timeout = milliseconds(50);
  TestServer server(options);
  TestClient client(server.port());
  client.Send(kGet);
  EXPECT_EQ(client.Read().status, 200);
  EXPECT_TRUE(client.AtEnd());
}

TEST(HttpServer, CutsAClientThatNeverReadsABigAnswer) {
  HttpServerOptions options;
  options.write_timeout = milliseconds(100);
  options.stop_grace = std::chrono::hours(1);
  auto big = [](const HttpRequest&) -> asio::awaitable<HttpResponse> {
    co_return Answer(kTextPlain, std::string(64 << 20, 'x'));
  };
  TestServer server(options, big);
  TestClient client(server.port());
  client.Send(kGet);
  // Returns only when the connection is gone, long before the grace period.
  server.StopAndWait();
}

TEST(HttpServer, SendsABigAnswerWhole) {
  auto big = [](const HttpRequest&) -> asio::awaitable<HttpResponse> {
    co_return Answer(kTextPlain, std::string(8 << 20, 'x'));
  };
  TestServer server({}, big);
  TestClient client(server.port());
  client.Send(kGet);
  EXPECT_EQ(client.Read().body.size(), 8u << 20);
}

TEST(HttpServer, CancelsTheHandlerWhenItsClientLeaves) {
  WaitingHandler waiting;
  TestServer server({}, waiting.handler());
  TestClient client(server.port());
  client.Send(kGetWait);
  waiting.begun.get_future().wait();
  client.Close();
  EXPECT_EQ(waiting.cancelled.get_future().wait_for(kSoon),
            std::future_status::ready);
}

TEST(HttpServer, CancelsTheHandlerOfALeavingClientThatPipelined) {
  WaitingHandler waiting;
  TestServer server({}, waiting.handler());
  TestClient client(server.port());
  client.Send(std::string(kGetWait) + std::string(kGet));
  waiting.begun.get_future().wait();
  client.Send(kGet);
  client.Close();
  EXPECT_EQ(waiting.cancelled.get_future().wait_for(kSoon),
            std::future_status::ready);
}

TEST(HttpServer, AnswersOthersWhileOneRequestWaits) {
  WaitingHandler waiting;
  TestServer server({}, waiting.handler());
  TestClient client(server.port());
  client.Send(kGetWait);
  waiting.begun.get_future().wait();
  EXPECT_EQ(Fetch(server.port(), "/x").status, 200);
}

TEST(HttpServer, RefusesConnectionsAboveItsLimitAndCountsThem) {
  HttpServerOptions options;
  options.max_connections = 2;
  TestServer server(options);
  TestClient first(server.port());
  TestClient second(server.port());
  for (TestClient* client : {&first, &second}) {
    client->Send(kGet);
    EXPECT_EQ(client->Read().status, 200);
  }
  uint64_t before = GlobalCounters().Get(Counter::http_connections_refused);
  TestClient third(server.port());
  third.Send(kGet);
  TestResponse response = third.Read();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "too many connections\n");
  EXPECT_TRUE(third.AtEnd());
  EXPECT_EQ(GlobalCounters().Get(Counter::http_connections_refused),
            before + 1);
}

TEST(HttpServer, ServesAThousandOpenConnections) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 2200) GTEST_SKIP() << "needs 2200 descriptors";
  HttpServerOptions options;
  options.max_connections = 1000;
  TestServer server(options);
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 1000; ++i) {
    clients.push_back(std::make_unique<TestClient>(server.port()));
  }
  int answered = 0;
  for (auto& client : clients) client->Send(kGet);
  for (auto& client : clients) answered += client->Read().status == 200;
  EXPECT_EQ(answered, 1000);
}

TEST(HttpServer, SaysWhatToDoAboutABusyPort) {
  TestServer server;
  std::string address = "127.0.0.1:" + std::to_string(server.port());
  HttpServerOptions options;
  options.listen = address;
  asio::io_context io;
  auto second = HttpServer::Listen(io, options, Echo);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.status().message(),
              testing::StartsWith("cannot listen on " + address +
                                  ": Address already in use: "));
  EXPECT_THAT(second.status().message(), HasSubstr("--http.listen"));
}

TEST(HttpServer, StopClosesIdleConnectionsAtOnce) {
  HttpServerOptions options;
  options.stop_grace = std::chrono::hours(1);
  TestServer server(options);
  TestClient idle(server.port());
  idle.Send(kGet);
  EXPECT_EQ(idle.Read().status, 200);
  server.StopAndWait();
  EXPECT_TRUE(idle.AtEnd());
}

TEST(HttpServer, StopCutsWaitingRequestsAfterTheGracePeriod) {
  HttpServerOptions options;
  options.stop_grace = milliseconds(20);
  WaitingHandler waiting;
  TestServer server(options, waiting.handler());
  TestClient client(server.port());
  client.Send(kGetWait);
  waiting.begun.get_future().wait();
  server.StopAndWait();
  EXPECT_EQ(waiting.cancelled.get_future().wait_for(kSoon),
            std::future_status::ready);
}

TEST(HttpServer, StopLetsARequestInProgressFinish) {
  std::promise<void> begun;
  asio::steady_timer* timer = nullptr;
  auto handler = [&](const HttpRequest&) -> asio::awaitable<HttpResponse> {
    asio::steady_timer release(co_await asio::this_coro::executor);
    release.expires_after(std::chrono::hours(1));
    timer = &release;
    begun.set_value();
    co_await release.async_wait(asio::as_tuple(asio::use_awaitable));
    co_return Answer(kTextPlain, "done");
  };
  TestServer server({}, handler);
  TestClient client(server.port());
  client.Send(kGet);
  begun.get_future().wait();
  server.Stop();
  asio::post(server.io(), [&timer] { timer->cancel(); });
  TestResponse response = client.Read();
  EXPECT_EQ(response.body, "done");
  EXPECT_EQ(response.Header("connection"), "close");
}

TEST(HttpServer, SurvivesAHandlerThatThrows) {
  auto handler =
      [](const HttpRequest& request) -> asio::awaitable<HttpResponse> {
    if (request.target == "/x") throw std::runtime_error("out of luck");
    co_return Answer(kTextPlain, "fine");
  };
  TestServer server({}, handler);
  EXPECT_EQ(Fetch(server.port(), "/x").status, 500);
  EXPECT_EQ(Fetch(server.port(), "/y").status, 200);
}

}  // namespace
}  // namespace pprofd
