// Status, Result<T>: how a function says that it failed, and why.
//
// Nothing in pprofd throws; a library that does is caught in its adapter. A
// message says what failed, on which object and why; each layer may add its
// context, and the layer that handles a Status logs it, once.
// Thread: values, no sharing.
#ifndef DAEMON_BASE_STATUS_H_
#define DAEMON_BASE_STATUS_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pprofd {

enum class StatusCode {
  kOk,
  kInvalid,      // the caller asked for something malformed
  kNotFound,     // no such object
  kGone,         // the process left while we looked
  kDenied,       // rights are missing
  kUnsupported,  // this kernel, file or build cannot do it
  kCorrupt,      // bytes from outside make no sense
  kExhausted,    // a bound of ours is reached
  kTimeout,
  kIo,
};

std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message)
      : code_(code), message_(std::move(message)) {}

  static Status Ok() { return Status(); }
  // "<what>: <strerror(error)>", with the code that fits the errno.
  static Status FromErrno(int error, std::string_view what);

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same code with "<context>: " in front of the message.
  Status WithContext(std::string_view context) const;
  // "NotFound: no such process: 7", for logs.
  std::string ToString() const;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT(runtime/explicit)
  Result(Status status)
      : status_(std::move(status)) {}  // NOLINT(runtime/explicit)

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // REQUIRES: ok()
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return std::move(*value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

#define PPROFD_CONCAT_INNER(a, b) a##b
#define PPROFD_CONCAT(a, b) PPROFD_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expression)               \
  do {                                            \
    ::pprofd::Status status_or_ok = (expression); \
    if (!status_or_ok.ok()) return status_or_ok;  \
  } while (false)

#define ASSIGN_OR_RETURN(declaration, expression)                      \
  ASSIGN_OR_RETURN_IMPL(PPROFD_CONCAT(result_, __LINE__), declaration, \
                        expression)
#define ASSIGN_OR_RETURN_IMPL(result, declaration, expression) \
  auto result = (expression);                                  \
  if (!result.ok()) return result.status();                    \
  declaration = std::move(result).value()

}  // namespace pprofd

#endif  // DAEMON_BASE_STATUS_H_
