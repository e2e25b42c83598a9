#include "daemon/server/listen_address.h"

#include <gtest/gtest.h>

namespace pprofd {
namespace {

std::string Parse(std::string_view text) {
  auto endpoint = ParseListenAddress(text);
  return endpoint.ok() ? ToString(*endpoint) : "invalid";
}

TEST(ListenAddress, ReadsAddressAndPort) {
  EXPECT_EQ(Parse("127.0.0.1:6066"), "127.0.0.1:6066");
  EXPECT_EQ(Parse("[::1]:0"), "[::1]:0");
  EXPECT_EQ(Parse("localhost:80"), "127.0.0.1:80");
  EXPECT_EQ(Parse(":6066"), "0.0.0.0:6066");
}

TEST(ListenAddress, RefusesEverythingElse) {
  for (const char* text :
       {"", ":", "6066", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
        "127.0.0.1:-1", "127.0.0.1:6066x", "::1:6066", "[::1]", "[]:1",
        "[127.0.0.1]:1", "[::1:6066", "example.com:6066", "256.0.0.1:1"}) {
    EXPECT_EQ(Parse(text), "invalid") << text;
  }
}

TEST(LoopbackHost, AcceptsNamesOfThisMachine) {
  for (const char* host : {"", "localhost", "LocalHost:1", "127.0.0.1",
                           "127.9.9.9:6066", "[::1]", "[::1]:6066"}) {
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  }
}

TEST(LoopbackHost, RefusesForeignNames) {
  for (const char* host :
       {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example",
        "evil.example:6066", "localhost:x", "10.0.0.1", "[::2]", "::1",
        "localhost@evil.example", "[::1", "[::1]x", "localhost:1:2"}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
}

}  // namespace
}  // namespace pprofd
