// FakeFileServer: HTTP on the loopback for tests, one request at a time.
//
// Thread: its own, on which the handler runs. The handler may block; Stop()
// ends what it waits for only if it ends by itself.
#ifndef DAEMON_DEBUGINFOD_FAKE_FILE_SERVER_H_
#define DAEMON_DEBUGINFOD_FAKE_FILE_SERVER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/base/unique_handle.h"

namespace pprofd {

class FakeFileServer {
 public:
  struct Reply {
    int status = 200;
    std::string body;
    std::string headers = "";  // more of them, each with its \r\n
    bool tells_size = true;
    bool stalls = false;  // sends half of the body, then nothing
  };
  using Handler = std::function<Reply(const std::string& path)>;

  explicit FakeFileServer(Handler handler) : handler_(std::move(handler)) {
    listener_.Reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    bind(listener_.get(), generic, size);
    listen(listener_.get(), 16);
    getsockname(listener_.get(), generic, &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeFileServer() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(port_);
  }
  std::vector<std::string> paths() const {
    std::lock_guard lock(mutex_);
    return paths_;
  }

 private:
  void Serve() {
    for (;;) {
      UniqueFd peer(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer) return;
      std::string request;
      std::array<char, 4096> part;
      while (request.find("\r\n\r\n") == std::string::npos) {
        ssize_t size = recv(peer.get(), part.data(), part.size(), 0);
        if (size <= 0) break;
        request.append(part.data(), static_cast<size_t>(size));
      }
      if (!request.starts_with("GET ")) continue;
      std::string path = request.substr(4, request.find(' ', 4) - 4);
      {
        std::lock_guard lock(mutex_);
        paths_.push_back(path);
      }
      Reply reply = handler_(path);
      Send(peer.get(), reply);
      if (reply.stalls) stalled_.push_back(std::move(peer));
    }
  }

  static void Send(int peer, const Reply& reply) {
    std::string text = "HTTP/1.1 " + std::to_string(reply.status) +
                       " Test\r\nConnection: close\r\n" + reply.headers;
    if (reply.tells_size) {
      text += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
    }
    text += "\r\n";
    text.append(reply.body, 0, reply.body.size() / (reply.stalls ? 2 : 1));
    size_t sent = 0;
    while (sent < text.size()) {
      ssize_t size =
          send(peer, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (size <= 0) return;
      sent += static_cast<size_t>(size);
    }
  }

  const Handler handler_;
  UniqueFd listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> paths_;  // guarded by mutex_
  std::vector<UniqueFd> stalled_;   // own thread
  std::thread thread_;
};

}  // namespace pprofd

#endif  // DAEMON_DEBUGINFOD_FAKE_FILE_SERVER_H_
