// TestClient: a blocking HTTP client for tests, which can also misbehave.
//
// Owns: its socket. Thread: one owner.
// Fails: nothing is retried; a server silent for 20 s reads as closed.
#ifndef DAEMON_SERVER_TEST_CLIENT_H_
#define DAEMON_SERVER_TEST_CLIENT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/base/unique_handle.h"

namespace pprofd {

struct TestResponse {
  std::string version;                         // "HTTP/1.1"
  int status = 0;                              // 0: no answer
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  // "" when absent.
  std::string Header(const std::string& name) const;
};

class TestClient {
 public:
  explicit TestClient(uint16_t port);

  void Send(std::string_view bytes);
  // Reads one answer; `is_head`: without its body.
  TestResponse Read(bool is_head = false);
  // True when the server has closed and nothing is left to read.
  bool AtEnd();
  // Leaves at once, with a reset when something is unread.
  void Close() { socket_.Reset(); }

 private:
  bool Fill();

  UniqueFd socket_;
  std::string unread_;
};

// One request on its own connection.
TestResponse Fetch(uint16_t port, std::string_view target,
                   std::string_view method = "GET", std::string_view body = {});

}  // namespace pprofd

#endif  // DAEMON_SERVER_TEST_CLIENT_H_
