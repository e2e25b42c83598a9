// HttpConnection: one client, from accept to close.
//
// Owns: the socket, the bytes read ahead. Borrows: options and handler, which
//   must live until Run has returned.
// Thread: the event loop only.
// Bound: header_limit_bytes + body_limit_bytes, and one answer.
#ifndef DAEMON_SERVER_HTTP_CONNECTION_H_
#define DAEMON_SERVER_HTTP_CONNECTION_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/server/http_message.h"
#include "daemon/server/http_server.h"

namespace pprofd {

class HttpConnection {
 public:
  // With `only_loopback_hosts` requests that name another Host are refused.
  HttpConnection(boost::asio::ip::tcp::socket socket,
                 const HttpServerOptions& options, const HttpHandler& handler,
                 bool only_loopback_hosts);
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // Serves requests until either side closes. The object must outlive it.
  boost::asio::awaitable<void> Run();
  // Says 503 and closes.
  boost::asio::awaitable<void> Refuse();

  // Ends after the answer in progress; at once when there is none.
  void StopWhenIdle();
  void Close();

 private:
  using Parser =
      boost::beast::http::request_parser<boost::beast::http::string_body>;

  boost::asio::awaitable<bool> WaitForRequest();
  // False: the connection is over; an answer was sent where possible.
  boost::asio::awaitable<bool> ReadRequest(Parser& parser);
  boost::asio::awaitable<bool> ReadBody(Parser& parser);
  boost::asio::awaitable<bool> AnswerRequest(Parser& parser);
  boost::asio::awaitable<HttpResponse> CallHandler(const HttpRequest& request);
  // Returns when the client has left; keeps what it sends meanwhile.
  boost::asio::awaitable<void> WatchClient();

  boost::asio::awaitable<void> RefuseRequest(unsigned status,
                                             std::string_view text);
  boost::asio::awaitable<bool> WriteResponse(const HttpResponse& response,
                                             bool with_body);
  boost::asio::awaitable<bool> Write(std::string head, std::string_view body);
  // Closes so that the client can read the answer although it still sends.
  boost::asio::awaitable<void> CloseGently();

  // Checks Host and turns the parsed message into ours; else the refusal.
  std::optional<HttpResponse> TakeRequest(Parser& parser, HttpRequest* request);

  const HttpServerOptions& options_;
  const HttpHandler& handler_;
  const bool only_loopback_hosts_;
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
  boost::asio::ip::tcp::endpoint local_;
  std::string client_;
  unsigned version_ = 11;  // of the request, 10 or 11
  bool keep_alive_ = true;
  bool is_first_ = true;
  bool idle_ = true;
  bool stopping_ = false;
};

}  // namespace pprofd

#endif  // DAEMON_SERVER_HTTP_CONNECTION_H_
