#include "daemon/server/listen_address.h"

#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <optional>

namespace pprofd {
namespace {

namespace ip = boost::asio::ip;

struct HostPort {
  std::string_view host;  // without brackets
  std::string_view port;  // "" when absent
  bool bracketed = false;
};

std::optional<HostPort> SplitHostPort(std::string_view text) {
  HostPort parts;
  if (text.starts_with('[')) {
    size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    parts.host = text.substr(1, close - 1);
    parts.bracketed = true;
    text.remove_prefix(close + 1);
    if (text.empty()) return parts;
    if (text.front() != ':') return std::nullopt;
    parts.port = text.substr(1);
    return parts;
  }
  size_t colon = text.find(':');
  parts.host = text.substr(0, colon);
  if (colon != std::string_view::npos) parts.port = text.substr(colon + 1);
  return parts;
}

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() ||
      text.empty()) {
    return std::nullopt;
  }
  return port;
}

bool IsLocalhostName(std::string_view host) {
  constexpr std::string_view kName = "localhost";
  if (host.size() != kName.size()) return false;
  for (size_t i = 0; i < host.size(); ++i) {
    char lower = host[i] >= 'A' && host[i] <= 'Z'
                     ? static_cast<char>(host[i] - 'A' + 'a')
                     : host[i];
    if (lower != kName[i]) return false;
  }
  return true;
}

// An address that is written as such: v6 in brackets, v4 without.
std::optional<ip::address> LiteralAddress(const HostPort& parts) {
  boost::system::error_code error;
  ip::address address = ip::make_address(std::string(parts.host), error);
  if (error || address.is_v6() != parts.bracketed) return std::nullopt;
  return address;
}

}  // namespace

Result<ip::tcp::endpoint> ParseListenAddress(std::string_view text) {
  Status invalid(StatusCode::kInvalid,
                 "invalid listen address \"" + std::string(text) +
                     "\": write IP:port, such as 127.0.0.1:6066 or [::1]:6066");
  std::optional<HostPort> parts = SplitHostPort(text);
  if (!parts) return invalid;
  std::optional<uint16_t> port = ParsePort(parts->port);
  if (!port) return invalid;
  if (parts->host.empty()) {
    if (parts->bracketed) return invalid;
    return ip::tcp::endpoint(ip::address_v4::any(), *port);
  }
  if (!parts->bracketed && IsLocalhostName(parts->host)) {
    return ip::tcp::endpoint(ip::address_v4::loopback(), *port);
  }
  std::optional<ip::address> address = LiteralAddress(*parts);
  if (!address) return invalid;
  return ip::tcp::endpoint(*address, *port);
}

std::string ToString(const ip::tcp::endpoint& endpoint) {
  std::string host = endpoint.address().to_string();
  if (endpoint.address().is_v6()) host = "[" + host + "]";
  return host + ":" + std::to_string(endpoint.port());
}

bool IsLoopbackHost(std::string_view host) {
  if (host.empty()) return true;
  std::optional<HostPort> parts = SplitHostPort(host);
  if (!parts) return false;
  if (!parts->port.empty() && !ParsePort(parts->port)) return false;
  if (!parts->bracketed && IsLocalhostName(parts->host)) return true;
  std::optional<ip::address> address = LiteralAddress(*parts);
  return address && address->is_loopback();
}

}  // namespace pprofd
