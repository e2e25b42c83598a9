#include "daemon/server/http_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/system/system_error.hpp>
#include <ctime>
#include <exception>
#include <utility>
#include <variant>

#include "daemon/base/telemetry.h"
#include "daemon/server/http_response.h"
#include "daemon/server/listen_address.h"

namespace pprofd {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr size_t kWriteBytes = 64 << 10;
constexpr size_t kReadBytes = 4 << 10;
constexpr std::chrono::seconds kCloseTimeout{1};
constexpr size_t kCloseReadBytes = 256 << 10;

std::string HttpDate() {
  time_t now = time(nullptr);
  tm utc{};
  gmtime_r(&now, &utc);
  char text[64];
  size_t length = strftime(text, sizeof(text), "%a, %d %b %Y %T GMT", &utc);
  return std::string(text, length);
}

std::string ResponseHead(const HttpResponse& response, unsigned version,
                         bool keep_alive) {
  std::string head = version == 10 ? "HTTP/1.0 " : "HTTP/1.1 ";
  head += std::to_string(response.status);
  head += ' ';
  head += http::obsolete_reason(http::int_to_status(response.status));
  head += "\r\nDate: " + HttpDate() + "\r\n";
  for (const auto& [name, value] : response.headers) {
    head += name + ": " + value + "\r\n";
  }
  if (response.has_length) {
    head += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
  }
  if (!keep_alive) {
    head += "Connection: close\r\n";
  } else if (version == 10) {
    head += "Connection: keep-alive\r\n";
  }
  head += "\r\n";
  return head;
}

// Takes scheme and authority off a target in absolute form, as sent to
// proxies; its authority then counts instead of the Host header.
void SplitAbsoluteTarget(std::string* target, std::string* host) {
  constexpr std::string_view kScheme = "http://";
  if (!target->starts_with(kScheme)) return;
  size_t slash = target->find('/', kScheme.size());
  *host = target->substr(kScheme.size(), slash == std::string::npos
                                             ? std::string::npos
                                             : slash - kScheme.size());
  *target = slash == std::string::npos ? "/" : target->substr(slash);
}

void LogHandlerFailure(const std::exception& failure) {
  LOG_EVERY(std::chrono::seconds(10),
            spdlog::error("http: handler failed: {}", failure.what()));
}

}  // namespace

HttpConnection::HttpConnection(asio::ip::tcp::socket socket,
                               const HttpServerOptions& options,
                               const HttpHandler& handler,
                               bool only_loopback_hosts)
    : options_(options),
      handler_(handler),
      only_loopback_hosts_(only_loopback_hosts),
      stream_(std::move(socket)) {
  boost::system::error_code error;
  stream_.socket().set_option(asio::ip::tcp::no_delay(true), error);
  // Finds clients that vanished without a word while a handler measures.
  stream_.socket().set_option(asio::socket_base::keep_alive(true), error);
  // Without it the kernel keeps the unread answer of a closed socket for long.
  auto timeout_ms = static_cast<unsigned>(options_.write_timeout.count());
  setsockopt(stream_.socket().native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT,
             &timeout_ms, sizeof(timeout_ms));
  local_ = stream_.socket().local_endpoint(error);
  asio::ip::tcp::endpoint remote = stream_.socket().remote_endpoint(error);
  if (!error) client_ = remote.address().to_string();
}

asio::awaitable<void> HttpConnection::Run() {
  while (!stopping_) {
    idle_ = true;
    bool arrived = co_await WaitForRequest();
    if (!arrived) break;
    Parser parser;
    parser.header_limit(options_.header_limit_bytes);
    parser.body_limit(options_.body_limit_bytes);
    bool complete = co_await ReadRequest(parser);
    if (!complete) break;
    idle_ = false;
    is_first_ = false;
    bool answered = co_await AnswerRequest(parser);
    if (!answered) break;
    if (!keep_alive_) {
      co_await CloseGently();
      break;
    }
  }
  Close();
}

asio::awaitable<void> HttpConnection::Refuse() {
  co_await RefuseRequest(503, "too many connections");
  Close();
}

void HttpConnection::StopWhenIdle() {
  stopping_ = true;
  if (idle_) Close();
}

void HttpConnection::Close() { stream_.close(); }

asio::awaitable<bool> HttpConnection::WaitForRequest() {
  // The first request has to arrive within its own deadline.
  if (is_first_ || buffer_.size() > 0) co_return true;
  stream_.expires_after(options_.idle_timeout);
  auto [error, size] =
      co_await stream_.async_read_some(buffer_.prepare(kReadBytes), kToken);
  buffer_.commit(size);
  co_return !error;
}

asio::awaitable<bool> HttpConnection::ReadRequest(Parser& parser) {
  stream_.expires_after(options_.read_timeout);
  auto [error, size] =
      co_await http::async_read_header(stream_, buffer_, parser, kToken);
  if (!error) {
    version_ = parser.get().version();
    bool complete = co_await ReadBody(parser);
    co_return complete;
  }
  if (error == http::error::header_limit) {
    co_await RefuseRequest(431, "request header is too large");
  } else if (error == http::error::body_limit) {
    co_await RefuseRequest(413, "request body is too large");
  } else if (error.category() ==
                 make_error_code(http::error::bad_method).category() &&
             error != http::error::end_of_stream &&
             error != http::error::partial_message) {
    co_await RefuseRequest(400, "malformed request: " + error.message());
  }
  co_return false;
}

asio::awaitable<bool> HttpConnection::ReadBody(Parser& parser) {
  if (parser.is_done()) co_return true;
  if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    bool sent = co_await Write("HTTP/1.1 100 Continue\r\n\r\n", {});
    if (!sent) co_return false;
    stream_.expires_after(options_.read_timeout);
  }
  auto [error, size] =
      co_await http::async_read(stream_, buffer_, parser, kToken);
  if (!error) co_return true;
  if (error == http::error::body_limit) {
    co_await RefuseRequest(413, "request body is too large");
  }
  co_return false;
}

std::optional<HttpResponse> HttpConnection::TakeRequest(Parser& parser,
                                                        HttpRequest* request) {
  auto& message = parser.get();
  if (message.version() != 10 && message.version() != 11) {
    return TextError(505, "HTTP version is not supported");
  }
  size_t host_count = message.count(http::field::host);
  if (host_count > 1 || (host_count == 0 && message.version() == 11)) {
    return TextError(400, "exactly one Host header is required");
  }
  request->method = std::string(message.method_string());
  request->target = std::string(message.target());
  request->host = std::string(message[http::field::host]);
  SplitAbsoluteTarget(&request->target, &request->host);
  if (only_loopback_hosts_ && !IsLoopbackHost(request->host)) {
    return TextError(
        403,
        "this server listens on a loopback address and answers only to "
        "localhost, 127.0.0.1 or [::1] as Host, to keep web pages out");
  }
  if (request->host.empty()) request->host = ToString(local_);
  request->client = client_;
  request->body = std::move(message.body());
  return std::nullopt;
}

asio::awaitable<bool> HttpConnection::AnswerRequest(Parser& parser) {
  using asio::experimental::awaitable_operators::operator||;
  Count(Counter::http_requests);
  HttpRequest request;
  std::optional<HttpResponse> refusal = TakeRequest(parser, &request);
  keep_alive_ = parser.keep_alive() && !refusal;
  HttpResponse response;
  if (refusal) {
    response = std::move(*refusal);
  } else {
    stream_.expires_never();
    auto first = co_await (CallHandler(request) || WatchClient());
    if (first.index() == 1) co_return false;
    response = std::move(std::get<0>(first));
  }
  if (stopping_) keep_alive_ = false;
  bool is_head = request.method == "HEAD";
  if (!response.has_length && !is_head) keep_alive_ = false;
  bool written = co_await WriteResponse(response, !is_head);
  co_return written;
}

asio::awaitable<HttpResponse> HttpConnection::CallHandler(
    const HttpRequest& request) {
  try {
    HttpResponse response = co_await handler_(request);
    co_return response;
  } catch (const boost::system::system_error& failure) {
    // The usual end of a cancelled handler; nobody reads its answer.
    if (failure.code() != asio::error::operation_aborted) {
      LogHandlerFailure(failure);
    }
  } catch (const std::exception& failure) {
    LogHandlerFailure(failure);
  }
  co_return TextError(500, "internal error");
}

asio::awaitable<void> HttpConnection::WatchClient() {
  // Pipelined requests are kept for later, up to one header's worth; above
  // that only a reset connection is noticed.
  while (buffer_.size() < options_.header_limit_bytes) {
    auto [error, size] = co_await stream_.socket().async_read_some(
        buffer_.prepare(kReadBytes), kToken);
    if (error) co_return;
    buffer_.commit(size);
  }
  co_await stream_.socket().async_wait(asio::socket_base::wait_error, kToken);
}

asio::awaitable<void> HttpConnection::RefuseRequest(unsigned status,
                                                    std::string_view text) {
  keep_alive_ = false;
  HttpResponse response = TextError(status, text);
  bool written = co_await WriteResponse(response, true);
  if (written) co_await CloseGently();
}

asio::awaitable<bool> HttpConnection::WriteResponse(
    const HttpResponse& response, bool with_body) {
  std::string head = ResponseHead(response, version_, keep_alive_);
  std::string_view body;
  if (with_body) body = response.body;
  bool written = co_await Write(std::move(head), body);
  co_return written;
}

asio::awaitable<bool> HttpConnection::Write(std::string head,
                                            std::string_view body) {
  std::string_view first = head;
  while (!first.empty() || !body.empty()) {
    std::string_view part = body.substr(0, kWriteBytes);
    std::array<asio::const_buffer, 2> buffers = {asio::buffer(first),
                                                 asio::buffer(part)};
    stream_.expires_after(options_.write_timeout);
    auto [error, size] = co_await asio::async_write(stream_, buffers, kToken);
    if (error) co_return false;
    first = {};
    body.remove_prefix(part.size());
  }
  co_return true;
}

asio::awaitable<void> HttpConnection::CloseGently() {
  // Closing with unread bytes resets the connection, and the reset may
  // overtake the answer.
  boost::system::error_code ignored;
  stream_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
  stream_.expires_after(kCloseTimeout);
  buffer_.clear();
  for (size_t total = 0; total < kCloseReadBytes;) {
    auto [error, size] =
        co_await stream_.async_read_some(buffer_.prepare(kReadBytes), kToken);
    if (error) co_return;
    total += size;
  }
}

}  // namespace pprofd
