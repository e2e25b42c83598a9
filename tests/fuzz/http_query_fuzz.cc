// Everything that the server parses out of a request line, on hostile bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "daemon/server/listen_address.h"
#include "daemon/server/profile_params.h"
#include "daemon/server/query.h"
#include "daemon/server/text.h"
#include "daemon/server/time_spec.h"

namespace pprofd {
namespace {

constexpr WallTime kNow{1'700'000'000'000'000'000};
constexpr ProfileLimits kLimits;

void Require(bool claim) {
  if (!claim) abort();
}

void ParseAll(std::string_view text) {
  ParseAddresses(text);
  IsLoopbackHost(text);
  Require(OneLine(text).find('\n') == std::string::npos);
  Require(OneLine(OneLine(text)) == OneLine(text));
  Require(HtmlText(text).find('<') == std::string::npos);
  std::optional<WallTime> time = ParseTimeSpec(text, kNow);
  if (time) Require(time->ns >= 0);

  std::optional<RequestTarget> target = ParseTarget(text);
  if (!target) return;
  if (!target->clean_location.empty()) {
    // A redirect leads to this server and not round in circles.
    Require(!target->clean_location.starts_with("//"));
    std::optional<RequestTarget> clean = ParseTarget(target->clean_location);
    Require(clean && clean->clean_location.empty());
  }
  PprofRoute route = ParseRoute(target->path);
  if (route.path_pid) ParsePid(*route.path_pid);
  Require(DebugLevel(target->query) >= 0);
  Result<ProfileParams> params =
      ParseProfileParams(target->query, 0, kNow, kLimits);
  if (!params.ok()) return;
  Require(params->seconds >= 1 && params->seconds <= kLimits.max_seconds);
  Require(params->capture.hz >= 1 && params->capture.hz <= 1000);
  Require(params->render.only_tid >= 0);
  if (params->history) {
    Require(params->history->from < params->history->to);
    Require(params->history->to <= kNow);
  }
}

}  // namespace
}  // namespace pprofd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pprofd::ParseAll({reinterpret_cast<const char*>(data), size});
  return 0;
}
