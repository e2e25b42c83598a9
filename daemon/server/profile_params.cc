#include "daemon/server/profile_params.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <string_view>

#include "daemon/server/time_spec.h"

namespace pprofd {
namespace {

constexpr int64_t kDefaultSeconds = 30;
constexpr int64_t kMaxHz = 1000;
constexpr int64_t kMaxHeapRate = 1 << 30;
constexpr std::array<std::string_view, 6> kLabels = {"tid", "comm", "thread",
                                                     "cpu", "pid",  "cgroup"};

Status InvalidValue(std::string_view name, std::string_view rule) {
  return Status(StatusCode::kInvalid, "invalid value for \"" +
                                          std::string(name) + "\" - must be " +
                                          std::string(rule));
}

// Go: what is no positive integer silently means 30.
Result<int64_t> ParseSeconds(const Query& query, int64_t max_seconds) {
  int64_t seconds = ParseGoInt(query.Get("seconds")).value_or(0);
  if (seconds <= 0) seconds = std::min(kDefaultSeconds, max_seconds);
  if (seconds > max_seconds) {
    return InvalidValue("seconds", "at most " + std::to_string(max_seconds));
  }
  return seconds;
}

// Of snapshots, as strict as Go; none when absent.
Result<std::optional<int64_t>> ParseDeltaSeconds(const Query& query,
                                                 const ProfileLimits& limits) {
  std::string_view text = query.Get("seconds");
  if (text.empty()) return std::optional<int64_t>();
  std::optional<int64_t> seconds = ParseGoInt(text);
  if (!seconds || *seconds <= 0) {
    return InvalidValue("seconds", "a positive integer");
  }
  if (*seconds > limits.max_seconds) {
    return InvalidValue("seconds",
                        "at most " + std::to_string(limits.max_seconds));
  }
  return seconds;
}

Result<std::optional<HistoryRequest>> ParseHistory(const Query& query,
                                                   int32_t pid, WallTime now) {
  constexpr std::string_view kTimeRule =
      "RFC 3339, Unix seconds, or relative such as -30s, -5m, -1h";
  std::string_view from = query.Get("from");
  std::string_view to = query.Get("to");
  if (from.empty() && to.empty()) return std::optional<HistoryRequest>();
  if (from.empty()) {
    return Status(StatusCode::kInvalid, "\"to\" needs \"from\"");
  }
  HistoryRequest history;
  history.pid = pid;
  history.to = now;
  std::optional<WallTime> start = ParseTimeSpec(from, now);
  if (!start) return InvalidValue("from", kTimeRule);
  history.from = *start;
  if (!to.empty()) {
    std::optional<WallTime> end = ParseTimeSpec(to, now);
    if (!end) return InvalidValue("to", kTimeRule);
    history.to = std::min(*end, now);
  }
  if (history.from >= history.to) {
    return InvalidValue("from", "in the past and before \"to\"");
  }
  return std::optional<HistoryRequest>(history);
}

Result<std::vector<std::string>> ParseLabels(std::string_view text) {
  std::vector<std::string> labels;
  while (!text.empty()) {
    size_t end = std::min(text.find(','), text.size());
    std::string label(text.substr(0, end));
    bool is_last = end == text.size();
    text.remove_prefix(is_last ? end : end + 1);
    bool is_known =
        std::find(kLabels.begin(), kLabels.end(), label) != kLabels.end();
    if (!is_known || (!is_last && text.empty())) {
      return InvalidValue("labels",
                          "a list of tid, comm, thread, cpu, pid, cgroup");
    }
    if (std::find(labels.begin(), labels.end(), label) == labels.end()) {
      labels.push_back(std::move(label));
    }
  }
  return labels;
}

Result<DemangleStyle> ParseDemangle(std::string_view text) {
  if (text.empty() || text == "default") return DemangleStyle::kShort;
  if (text == "none") return DemangleStyle::kNone;
  if (text == "templates") return DemangleStyle::kTemplates;
  if (text == "full") return DemangleStyle::kFull;
  return InvalidValue("demangle", "none, templates, full or default");
}

Result<RenderOptions> ParseRender(const Query& query) {
  RenderOptions render;
  std::string_view format = query.Get("format");
  if (format == "collapsed") {
    render.format = ProfileFormat::kCollapsed;
  } else if (!format.empty() && format != "pprof") {
    return InvalidValue("format", "pprof or collapsed");
  }
  ASSIGN_OR_RETURN(render.demangle, ParseDemangle(query.Get("demangle")));
  std::string_view kernel = query.Get("kernel");
  if (!kernel.empty() && kernel != "0" && kernel != "1") {
    return InvalidValue("kernel", "0 or 1");
  }
  render.include_kernel = kernel != "0";
  if (std::string_view tid = query.Get("tid"); !tid.empty()) {
    std::optional<int32_t> value = ParsePid(tid);
    if (!value) return InvalidValue("tid", "a thread number");
    render.only_tid = *value;
  }
  ASSIGN_OR_RETURN(render.labels, ParseLabels(query.Get("labels")));
  std::string_view unit = query.Get("unit");
  if (!unit.empty() && unit != "ns" && unit != "samples") {
    return InvalidValue("unit", "ns or samples");
  }
  if (!unit.empty() && render.format != ProfileFormat::kCollapsed) {
    return Status(StatusCode::kInvalid, "\"unit\" needs format=collapsed");
  }
  render.unit_is_ns = unit == "ns";
  return render;
}

// Parameters that would do nothing.
Status Refuse(const Query& query, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (query.Get(name).empty()) continue;
    return Status(StatusCode::kInvalid, std::string("\"") + name +
                                            "\" parameter is not supported for "
                                            "this profile type");
  }
  return Status::Ok();
}

}  // namespace

Result<SnapshotParams> ParseSnapshotParams(const Query& query, int32_t pid,
                                           ProfileKind kind, WallTime now,
                                           const ProfileLimits& limits) {
  SnapshotParams params;
  ProfileParams& profile = params.profile;
  ASSIGN_OR_RETURN(std::optional<int64_t> seconds,
                   ParseDeltaSeconds(query, limits));
  params.is_delta = seconds.has_value();
  bool is_text = DebugLevel(query) > 0;
  if (params.is_delta && is_text) {
    return Status(StatusCode::kInvalid,
                  "seconds and debug params are incompatible");
  }
  RETURN_IF_ERROR(Refuse(query, {"hz", "rate", "unit", "kernel"}));
  ASSIGN_OR_RETURN(profile.history, ParseHistory(query, pid, now));
  if (profile.history && params.is_delta) {
    return Status(StatusCode::kInvalid,
                  "seconds and from params are incompatible");
  }
  ASSIGN_OR_RETURN(profile.render, ParseRender(query));
  if (is_text) {
    profile.render.format = ProfileFormat::kText;
    profile.render.demangle = DemangleStyle::kFull;
  }
  profile.seconds = seconds.value_or(0);
  profile.capture.kind = kind;
  profile.capture.pid = pid;
  if (!profile.history) {
    profile.history =
        HistoryRequest{.kind = kind, .pid = pid, .from = {0}, .to = now};
  }
  profile.history->kind = kind;
  return params;
}

Result<HeapParams> ParseHeapParams(const Query& query, int32_t pid,
                                   ProfileKind kind, WallTime now,
                                   const ProfileLimits& limits) {
  HeapParams params;
  params.request.pid = pid;
  params.view.kind = kind;
  ASSIGN_OR_RETURN(params.seconds, ParseDeltaSeconds(query, limits));
  params.view.is_delta = params.seconds.has_value();
  params.view.is_text = DebugLevel(query) > 0;
  if (params.view.is_delta && params.view.is_text) {
    return Status(StatusCode::kInvalid,
                  "seconds and debug params are incompatible");
  }
  if (std::string_view rate = query.Get("rate"); !rate.empty()) {
    std::optional<int64_t> value = ParseGoInt(rate);
    if (!value || *value < 1 || *value > kMaxHeapRate) {
      return InvalidValue("rate", "bytes between 1 and 1073741824");
    }
    params.request.period_bytes = static_cast<uint64_t>(*value);
  }
  // Sampled blocks are kept without their threads.
  RETURN_IF_ERROR(Refuse(query, {"tid", "labels", "unit", "kernel"}));
  ASSIGN_OR_RETURN(std::optional<HistoryRequest> history,
                   ParseHistory(query, pid, now));
  if (history && params.view.is_delta) {
    return Status(StatusCode::kInvalid,
                  "seconds and from params are incompatible");
  }
  if (history) params.view.range.emplace(history->from, history->to);
  ASSIGN_OR_RETURN(params.render, ParseRender(query));
  return params;
}

Result<ProfileParams> ParseProfileParams(const Query& query, int32_t pid,
                                         WallTime now,
                                         const ProfileLimits& limits) {
  ProfileParams params;
  params.capture.pid = pid;
  ASSIGN_OR_RETURN(params.seconds, ParseSeconds(query, limits.max_seconds));
  params.capture.hz = limits.default_hz;
  if (std::string_view hz = query.Get("hz"); !hz.empty()) {
    std::optional<int64_t> value = ParseGoInt(hz);
    if (!value || *value < 1 || *value > kMaxHz) {
      return InvalidValue("hz", "between 1 and 1000");
    }
    params.capture.hz = static_cast<uint32_t>(*value);
  }
  ASSIGN_OR_RETURN(params.history, ParseHistory(query, pid, now));
  ASSIGN_OR_RETURN(params.render, ParseRender(query));
  return params;
}

}  // namespace pprofd
