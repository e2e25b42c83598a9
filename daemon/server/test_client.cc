#include "daemon/server/test_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cctype>

namespace pprofd {

std::string TestResponse::Header(const std::string& name) const {
  auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

TestClient::TestClient(uint16_t port)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  timeval timeout{20, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket_.get(), reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) != 0) {
    socket_.Reset();
  }
}

void TestClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent =
        send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

bool TestClient::Fill() {
  char bytes[65536];
  ssize_t size = recv(socket_.get(), bytes, sizeof(bytes), 0);
  if (size <= 0) return false;
  unread_.append(bytes, static_cast<size_t>(size));
  return true;
}

bool TestClient::AtEnd() { return unread_.empty() && !Fill(); }

TestResponse TestClient::Read(bool is_head) {
  TestResponse response;
  size_t end;
  while ((end = unread_.find("\r\n\r\n")) == std::string::npos) {
    if (!Fill()) return response;
  }
  std::string head = unread_.substr(0, end + 2);
  unread_.erase(0, end + 4);
  response.version = head.substr(0, head.find(' '));
  response.status = std::atoi(head.c_str() + response.version.size());
  size_t line = head.find("\r\n") + 2;
  while (line < head.size()) {
    size_t stop = head.find("\r\n", line);
    size_t colon = head.find(": ", line);
    std::string name = head.substr(line, colon - line);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    response.headers[name] = head.substr(colon + 2, stop - colon - 2);
    line = stop + 2;
  }
  if (is_head) return response;
  size_t length =
      std::strtoull(response.Header("content-length").c_str(), nullptr, 10);
  while (unread_.size() < length && Fill()) {
  }
  response.body = unread_.substr(0, length);
  unread_.erase(0, length);
  return response;
}

TestResponse Fetch(uint16_t port, std::string_view target,
                   std::string_view method, std::string_view body) {
  TestClient client(port);
  std::string request(method);
  request += " ";
  request += target;
  request += " HTTP/1.1\r\nHost: localhost\r\n";
  if (!body.empty()) {
    request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  }
  request += "\r\n";
  request += body;
  client.Send(request);
  return client.Read(method == "HEAD");
}

}  // namespace pprofd
