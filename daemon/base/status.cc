#include "daemon/base/status.h"

#include <cerrno>
#include <system_error>

namespace pprofd {

std::string_view StatusCodeName(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return "Ok";
    case StatusCode::kInvalid:
      return "Invalid";
    case StatusCode::kNotFound:
      return "NotFound";
    case StatusCode::kGone:
      return "Gone";
    case StatusCode::kDenied:
      return "Denied";
    case StatusCode::kUnsupported:
      return "Unsupported";
    case StatusCode::kCorrupt:
      return "Corrupt";
    case StatusCode::kExhausted:
      return "Exhausted";
    case StatusCode::kTimeout:
      return "Timeout";
    case StatusCode::kIo:
      return "Io";
  }
  return "Unknown";
}

namespace {

StatusCode CodeOfErrno(int error) {
  switch (error) {
    case ENOENT:
      return StatusCode::kNotFound;
    case ESRCH:
      return StatusCode::kGone;
    case EPERM:
    case EACCES:
      return StatusCode::kDenied;
    case ENOSYS:
    case EOPNOTSUPP:
      return StatusCode::kUnsupported;
    case EINVAL:
      return StatusCode::kInvalid;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case E2BIG:
      return StatusCode::kExhausted;
    case ETIMEDOUT:
      return StatusCode::kTimeout;
    default:
      return StatusCode::kIo;
  }
}

}  // namespace

Status Status::FromErrno(int error, std::string_view what) {
  std::string message(what);
  message += ": ";
  message += std::generic_category().message(error);
  return Status(CodeOfErrno(error), std::move(message));
}

Status Status::WithContext(std::string_view context) const {
  if (ok()) return *this;
  std::string message(context);
  message += ": ";
  message += message_;
  return Status(code_, std::move(message));
}

std::string Status::ToString() const {
  if (ok()) return "Ok";
  std::string text(StatusCodeName(code_));
  text += ": ";
  text += message_;
  return text;
}

}  // namespace pprofd
