// Answers that many handlers give: text, errors, redirects.
//
// An error carries X-Go-Pprof, without which `go tool pprof` prints the status
// but not the reason.
// Thread: pure functions.
#ifndef DAEMON_SERVER_HTTP_RESPONSE_H_
#define DAEMON_SERVER_HTTP_RESPONSE_H_

#include <string>
#include <string_view>

#include "daemon/server/http_message.h"

namespace pprofd {

inline constexpr std::string_view kTextPlain = "text/plain; charset=utf-8";

// 200 with a Content-Type and nosniff.
HttpResponse Answer(std::string_view content_type, std::string body);

// One line of text, made of `text` without its line breaks.
HttpResponse TextError(unsigned status, std::string_view text);

// 503 with Retry-After.
HttpResponse BusyError(std::string_view text);

// 301 or 302. `location` is a path and query in URL syntax.
HttpResponse Redirect(unsigned status, std::string_view location);

}  // namespace pprofd

#endif  // DAEMON_SERVER_HTTP_RESPONSE_H_
