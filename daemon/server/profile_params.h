// ProfileParams: what a request for a profile asks for.
//
// Parameters that Go has are as lenient as Go's; pprofd's own are strict.
// Thread: pure functions, values.
#ifndef DAEMON_SERVER_PROFILE_PARAMS_H_
#define DAEMON_SERVER_PROFILE_PARAMS_H_

#include <cstdint>
#include <optional>

#include "daemon/base/clock.h"
#include "daemon/base/status.h"
#include "daemon/model/profile_service.h"
#include "daemon/server/query.h"

namespace pprofd {

struct ProfileParams {
  int64_t seconds = 30;
  CaptureRequest capture;
  // from= and to=: the past, instead of a capture.
  std::optional<HistoryRequest> history;
  RenderOptions render;
};

// Of a kind with a history that answers at once unless it is told to wait.
struct SnapshotParams {
  bool is_delta = false;  // with `seconds`: a capture, else history
  ProfileParams profile;
};

struct HeapParams {
  std::optional<int64_t> seconds;  // a difference over that time
  HeapRequest request;
  HeapView view;
  RenderOptions render;
};

struct ProfileLimits {
  int64_t max_seconds = 3600;
  uint32_t default_hz = 99;
};

// `pid` is that of the route, 0 for the whole host.
// Fails: Invalid, with the text of the 400.
Result<ProfileParams> ParseProfileParams(const Query& query, int32_t pid,
                                         WallTime now,
                                         const ProfileLimits& limits);

// For kinds with a history other than `profile`. REQUIRES: pid != 0.
Result<SnapshotParams> ParseSnapshotParams(const Query& query, int32_t pid,
                                           ProfileKind kind, WallTime now,
                                           const ProfileLimits& limits);

// For `heap` and `allocs`. REQUIRES: pid != 0.
Result<HeapParams> ParseHeapParams(const Query& query, int32_t pid,
                                   ProfileKind kind, WallTime now,
                                   const ProfileLimits& limits);

}  // namespace pprofd

#endif  // DAEMON_SERVER_PROFILE_PARAMS_H_
