// ListenAddress: the text of --http.listen, and who may call us by which name.
//
// Thread: pure functions.
#ifndef DAEMON_SERVER_LISTEN_ADDRESS_H_
#define DAEMON_SERVER_LISTEN_ADDRESS_H_

#include <boost/asio/ip/tcp.hpp>
#include <string>
#include <string_view>

#include "daemon/base/status.h"

namespace pprofd {

// "127.0.0.1:6066", "[::1]:6066", "localhost:6066", ":6066" (every IPv4
// address). Fails: Invalid for anything else; names other than localhost are
// not looked up, so that a listener never depends on a resolver.
Result<boost::asio::ip::tcp::endpoint> ParseListenAddress(
    std::string_view text);

// "127.0.0.1:6066", "[::1]:6066".
std::string ToString(const boost::asio::ip::tcp::endpoint& endpoint);

// True for the Host values by which a browser on this machine reaches a
// loopback listener: localhost, 127.x.y.z, [::1], each with any port, or "".
// A page of a foreign name rebound to 127.0.0.1 shows its own name instead.
bool IsLoopbackHost(std::string_view host);

}  // namespace pprofd

#endif  // DAEMON_SERVER_LISTEN_ADDRESS_H_
