// ProcessError, ProfileError: what went wrong, as the answer for it.
//
// Thread: pure functions.
#ifndef DAEMON_SERVER_PROCESS_ERRORS_H_
#define DAEMON_SERVER_PROCESS_ERRORS_H_

#include <cstdint>

#include "daemon/base/status.h"
#include "daemon/server/http_message.h"

namespace pprofd {

HttpResponse NoSuchProcess(int32_t pid);

// For questions about one process.
HttpResponse ProcessError(const Status& status, int32_t pid);

// For profiles; pid 0 is the whole host.
HttpResponse ProfileError(const Status& status, int32_t pid);

}  // namespace pprofd

#endif  // DAEMON_SERVER_PROCESS_ERRORS_H_
