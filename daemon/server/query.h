// RequestTarget: path and query of a request, read as Go's server reads them.
//
// Thread: pure functions, values.
// Bound: the target, which the HTTP server limits.
#ifndef DAEMON_SERVER_QUERY_H_
#define DAEMON_SERVER_QUERY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pprofd {

// The parameters after '?': percent-decoded, '+' is a blank, a pair that holds
// ';' or a bad escape is dropped whole.
class Query {
 public:
  Query() = default;
  static Query Parse(std::string_view raw);

  // The first value of `name`; "" when absent, which equals empty.
  std::string_view Get(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

struct RequestTarget {
  std::string path;       // percent-decoded
  std::string raw_path;   // as sent
  std::string raw_query;  // as sent, without '?'
  Query query;
  // Where to redirect when the path holds "//", "/./" or "/../"; else "".
  std::string clean_location;
};

// None when it does not begin with '/' or its path has a bad escape.
std::optional<RequestTarget> ParseTarget(std::string_view target);

// strconv.ParseInt(text, 10, 64): an optional sign and digits, nothing else.
// Out of range saturates.
std::optional<int64_t> ParseGoInt(std::string_view text);

// 1..4194304, the kernel's range of pids and tids.
std::optional<int32_t> ParsePid(std::string_view text);

// Go's reading of debug=: anything that is not a positive number is 0.
int64_t DebugLevel(const Query& query);

// The hexadecimal ("0x…") and decimal words of a symbol request, separated by
// '+', '&' or blanks; pid= pairs and other words are skipped.
std::vector<uint64_t> ParseAddresses(std::string_view text);

// Where a path leads.
struct PprofRoute {
  enum class Kind {
    kOther,      // not ours
    kSlashless,  // an index without its final slash
    kEndpoint,   // "" is the index
  };
  Kind kind = Kind::kOther;
  std::string name;  // of the endpoint: "profile"
  // The N of /pid/N/…; none in the query form.
  std::optional<std::string> path_pid;
};

// /debug/pprof/NAME, /pprof/NAME (NAME not empty), both also under /pid/N.
PprofRoute ParseRoute(std::string_view path);

}  // namespace pprofd

#endif  // DAEMON_SERVER_QUERY_H_
