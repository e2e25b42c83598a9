// HttpServer: sockets, limits and deadlines of HTTP/1.0 and 1.1.
//
// It knows no path and no profile: every well-formed request goes to one
// handler. What protects the daemon from its clients is here: the number of
// connections, sizes, and a deadline on every wait for a client. There is no
// deadline on the handler, which may measure for an hour; instead the socket
// is watched meanwhile and the handler cancelled when the client leaves. An
// answer must leave at 64 KiB per write_timeout or faster, so a client that
// does not read cannot hold memory for long, while a big answer on a slow link
// arrives.
// A listener on a loopback address refuses Host values that are not loopback
// (403): a web page cannot read profiles by DNS rebinding.
// Owns: listener, connections. Borrows: the io_context.
// Thread: Listen before the io_context runs, or on it; the io_context is run by
//   one thread. Stop from any thread.
// Bound: max_connections; above it 503 and close, counted as
//   http_connections_refused. header_limit_bytes (431), body_limit_bytes (413).
// Fails: Listen: Invalid for a malformed address, Io, Denied when the address
//   cannot be bound.
#ifndef DAEMON_SERVER_HTTP_SERVER_H_
#define DAEMON_SERVER_HTTP_SERVER_H_

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "daemon/base/status.h"
#include "daemon/server/http_message.h"

namespace pprofd {

struct HttpServerOptions {
  std::string listen = "127.0.0.1:6066";  // port 0 picks a free one
  size_t max_connections = 512;
  uint32_t header_limit_bytes = 16 << 10;
  uint64_t body_limit_bytes = 64 << 10;
  // From the first byte of a request to its last; from accept for the first.
  std::chrono::milliseconds read_timeout = std::chrono::seconds(10);
  // Without any byte of a next request.
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(60);
  // For every 64 KiB of an answer.
  std::chrono::milliseconds write_timeout = std::chrono::seconds(30);
  // How long requests in progress may go on after Stop.
  std::chrono::milliseconds stop_grace = std::chrono::seconds(5);
};

class HttpServer {
 public:
  static Result<std::unique_ptr<HttpServer>> Listen(
      boost::asio::io_context& io, const HttpServerOptions& options,
      HttpHandler handler);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  // Stops. What is left of connections ends on the io_context.
  ~HttpServer();

  uint16_t port() const;
  // "127.0.0.1:6066", with the real port.
  std::string address() const;

  // Closes the listener and idle connections at once, the others when they are
  // answered or stop_grace is over. The io_context then has nothing left to do
  // for this server, and its run() returns: wait for that before destroying
  // what the handler uses.
  void Stop();

 private:
  struct State;
  explicit HttpServer(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

}  // namespace pprofd

#endif  // DAEMON_SERVER_HTTP_SERVER_H_
