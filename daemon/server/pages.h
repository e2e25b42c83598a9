// Pages: what people read in a browser or with curl.
//
// HTML without scripts, with its style inside; every text that comes from a
// process is escaped.
// Thread: pure functions.
// Bound: a command line is cut in the list of processes, not on its own page.
#ifndef DAEMON_SERVER_PAGES_H_
#define DAEMON_SERVER_PAGES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/model/profile_service.h"

namespace pprofd {

inline constexpr std::string_view kHtml = "text/html; charset=utf-8";
// Content-Security-Policy of the pages: nothing but their own style.
inline constexpr std::string_view kPagePolicy =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

enum class ProcessOrder { kCpu, kPid, kComm };
// "cpu", "pid", "comm"; "" is cpu.
std::optional<ProcessOrder> ParseProcessOrder(std::string_view text);

// A link to an endpoint other than the plain one of its row.
struct ProfileLink {
  std::string_view parameters;  // "seconds=5"
  std::string_view text;
};

// A row of the index of one process.
struct ProfileRow {
  std::string_view name;
  std::string_view description;  // one sentence
  uint64_t count = 0;
  std::span<const ProfileLink> links;
};

// `host_header` is the name by which the client reached us.
std::string ProcessListPage(std::vector<ProcessRow> processes,
                            ProcessOrder order, std::string_view host_header,
                            std::string_view host_description);

// With `is_path_form` links are relative to /pid/N/debug/pprof/, else they
// carry the pid.
std::string ProcessPage(const ProcessRow& process,
                        const std::vector<ProfileRow>& rows, bool is_path_form,
                        std::string_view host_header,
                        std::string_view host_description);

// The counters, one per line: "name value  # text".
std::string HostText(const std::vector<NamedCount>& counters,
                     std::string_view host_description);

// How much of the process's CPU time its samples explain, and how complete
// their stacks are.
std::string ProcessText(const ProcessRow& process,
                        const ProcessDiagnostics& diagnostics,
                        const std::vector<NamedCount>& counters,
                        std::string_view host_description);

}  // namespace pprofd

#endif  // DAEMON_SERVER_PAGES_H_
