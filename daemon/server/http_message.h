// HttpRequest, HttpResponse, HttpHandler: what passes between the HTTP server
// and the code that answers.
//
// Thread: values; a handler runs on the server's event loop.
#ifndef DAEMON_SERVER_HTTP_MESSAGE_H_
#define DAEMON_SERVER_HTTP_MESSAGE_H_

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace pprofd {

struct HttpRequest {
  std::string method;  // "GET"
  std::string target;  // path and query, as sent
  std::string host;    // Host header, or the listening address without one
  std::string client;  // IP address of the client
  std::string body;
};

struct HttpResponse {
  unsigned status = 200;
  // The server adds Date, Content-Length and Connection.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  // False: no Content-Length, for a HEAD whose GET would have to measure.
  bool has_length = true;
};

// Answers one request, which lives until the handler returns. When the client
// leaves, the pending wait of the handler is cancelled (operation_aborted) and
// the answer is thrown away.
using HttpHandler = std::function<boost::asio::awaitable<HttpResponse>(
    const HttpRequest& request)>;

}  // namespace pprofd

#endif  // DAEMON_SERVER_HTTP_MESSAGE_H_
