#include "daemon/server/http_server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <unordered_set>
#include <utility>

#include "daemon/base/telemetry.h"
#include "daemon/server/http_connection.h"
#include "daemon/server/listen_address.h"

namespace pprofd {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
// Refused connections that are told so at the same time; others just close.
constexpr size_t kMaxRefusals = 64;
constexpr std::chrono::milliseconds kAcceptRetry{100};

Status ListenError(const std::string& address,
                   const boost::system::error_code& error) {
  std::string_view advice;
  if (error == asio::error::address_in_use) {
    advice =
        ": does another pprofd run? Stop it, or choose another address with "
        "--http.listen";
  } else if (error == asio::error::access_denied) {
    advice = ": choose a port above 1023 with --http.listen";
  } else {
    advice = ": choose an address of this host with --http.listen";
  }
  Status status =
      Status::FromErrno(error.value(), "cannot listen on " + address);
  return Status(status.code(), status.message() + std::string(advice));
}

Status Open(const tcp::endpoint& endpoint, tcp::acceptor* acceptor) {
  boost::system::error_code error;
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint.address().is_v6()) {
    bool only_v6 = !endpoint.address().is_unspecified();
    acceptor->set_option(asio::ip::v6_only(only_v6), error);
  }
  if (!error) acceptor->bind(endpoint, error);
  if (!error)
    acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) return ListenError(ToString(endpoint), error);
  return Status::Ok();
}

}  // namespace

// Shared by the server object and the coroutines of its connections.
struct HttpServer::State {
  State(asio::io_context& loop, const HttpServerOptions& settings,
        HttpHandler answer)
      : io(loop),
        options(settings),
        handler(std::move(answer)),
        acceptor(io),
        timer(io) {}

  asio::io_context& io;
  const HttpServerOptions options;
  const HttpHandler handler;
  tcp::endpoint endpoint;
  tcp::acceptor acceptor;
  // Pause after a failed accept, then the grace period of Stop.
  asio::steady_timer timer;
  std::unordered_set<HttpConnection*> connections;
  size_t refusals = 0;
  bool stopping = false;

  static asio::awaitable<void> Accept(std::shared_ptr<State> state);
  static asio::awaitable<void> Serve(std::shared_ptr<State> state,
                                     tcp::socket socket);
  static asio::awaitable<void> Refuse(std::shared_ptr<State> state,
                                      tcp::socket socket);
  void Admit(const std::shared_ptr<State>& self, tcp::socket socket);
  static void Stop(const std::shared_ptr<State>& state);
};

asio::awaitable<void> HttpServer::State::Accept(std::shared_ptr<State> state) {
  while (!state->stopping) {
    auto [error, socket] = co_await state->acceptor.async_accept(kAsTuple);
    if (!error) {
      state->Admit(state, std::move(socket));
      continue;
    }
    if (state->stopping) break;
    // Out of descriptors or memory: what is open has to go on.
    LOG_EVERY(std::chrono::seconds(10),
              spdlog::warn("http: cannot accept: {}", error.message()));
    state->timer.expires_after(kAcceptRetry);
    co_await state->timer.async_wait(kAsTuple);
  }
}

void HttpServer::State::Admit(const std::shared_ptr<State>& self,
                              tcp::socket socket) {
  if (connections.size() < options.max_connections) {
    asio::co_spawn(io, Serve(self, std::move(socket)), asio::detached);
    return;
  }
  Count(Counter::http_connections_refused);
  LOG_EVERY(std::chrono::seconds(10),
            spdlog::warn("http: {} connections are open, refusing more",
                         connections.size()));
  if (refusals < kMaxRefusals) {
    asio::co_spawn(io, Refuse(self, std::move(socket)), asio::detached);
  }
}

asio::awaitable<void> HttpServer::State::Serve(std::shared_ptr<State> state,
                                               tcp::socket socket) {
  HttpConnection connection(std::move(socket), state->options, state->handler,
                            state->endpoint.address().is_loopback());
  state->connections.insert(&connection);
  try {
    co_await connection.Run();
  } catch (const std::exception& failure) {
    LOG_EVERY(std::chrono::seconds(10),
              spdlog::error("http: connection failed: {}", failure.what()));
  }
  state->connections.erase(&connection);
  if (state->stopping && state->connections.empty()) state->timer.cancel();
}

asio::awaitable<void> HttpServer::State::Refuse(std::shared_ptr<State> state,
                                                tcp::socket socket) {
  HttpConnection connection(std::move(socket), state->options, state->handler,
                            false);
  ++state->refusals;
  try {
    co_await connection.Refuse();
  } catch (const std::exception& failure) {
    LOG_EVERY(std::chrono::seconds(10),
              spdlog::error("http: refusal failed: {}", failure.what()));
  }
  --state->refusals;
}

void HttpServer::State::Stop(const std::shared_ptr<State>& state) {
  if (state->stopping) return;
  state->stopping = true;
  boost::system::error_code ignored;
  state->acceptor.close(ignored);
  for (HttpConnection* connection : state->connections) {
    connection->StopWhenIdle();
  }
  state->timer.expires_after(state->options.stop_grace);
  if (state->connections.empty()) return;
  state->timer.async_wait([state](const boost::system::error_code&) {
    for (HttpConnection* connection : state->connections) connection->Close();
  });
}

HttpServer::HttpServer(std::shared_ptr<State> state)
    : state_(std::move(state)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::Listen(
    asio::io_context& io, const HttpServerOptions& options,
    HttpHandler handler) {
  ASSIGN_OR_RETURN(tcp::endpoint endpoint, ParseListenAddress(options.listen));
  auto state = std::make_shared<State>(io, options, std::move(handler));
  RETURN_IF_ERROR(Open(endpoint, &state->acceptor));
  boost::system::error_code error;
  state->endpoint = state->acceptor.local_endpoint(error);
  if (error) return ListenError(options.listen, error);
  asio::co_spawn(io, State::Accept(state), asio::detached);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

// Posting can only fail for want of memory, which ends us anyway.
// NOLINTNEXTLINE(bugprone-exception-escape)
HttpServer::~HttpServer() { Stop(); }

uint16_t HttpServer::port() const { return state_->endpoint.port(); }

std::string HttpServer::address() const { return ToString(state_->endpoint); }

void HttpServer::Stop() {
  asio::post(state_->io, [state = state_] { State::Stop(state); });
}

}  // namespace pprofd
