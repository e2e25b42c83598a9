#include "daemon/server/process_errors.h"

#include <string>

#include "daemon/server/http_response.h"

namespace pprofd {

HttpResponse NoSuchProcess(int32_t pid) {
  return TextError(404, "no such process: " + std::to_string(pid));
}

HttpResponse ProcessError(const Status& status, int32_t pid) {
  switch (status.code()) {
    case StatusCode::kNotFound:
    case StatusCode::kGone:
      return NoSuchProcess(pid);
    case StatusCode::kExhausted:
    case StatusCode::kTimeout:
      return BusyError(status.message());
    default:
      return TextError(500, status.message());
  }
}

HttpResponse ProfileError(const Status& status, int32_t pid) {
  if (status.code() == StatusCode::kExhausted) {
    return BusyError("too many concurrent profiles");
  }
  if (status.code() == StatusCode::kNotFound && pid == 0) {
    return TextError(404, status.message());
  }
  return ProcessError(status, pid);
}

}  // namespace pprofd
