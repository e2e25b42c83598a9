#include "daemon/profile/profile_comments.h"

#include <fmt/format.h>

#include "bpf/abi.h"

namespace pprofd {
namespace {

std::string DescribeLosses(const Aggregate& aggregate, bool is_whole_host) {
  int64_t total = 0;
  bool is_foreign = false;
  std::string reasons;
  for (const auto& [reason, count] : aggregate.lost) {
    total += count;
    is_foreign |= !is_whole_host && reason != PPROFD_REASON_CAPTURE_FULL;
    reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ",
                           ReasonText(reason), count);
  }
  return fmt::format("samples lost{}: {} ({})",
                     is_foreign ? ", of any process" : "", total, reasons);
}

std::string DescribeStacks(const Aggregate& aggregate, ProfileKind kind) {
  if (kind == ProfileKind::kHeap || kind == ProfileKind::kAllocs) {
    return fmt::format(
        "stacks of {} sampled blocks: {} reach their root, {} truncated",
        aggregate.samples, aggregate.complete, aggregate.truncated);
  }
  if (kind == ProfileKind::kRss) {
    return fmt::format(
        "stacks of {} page faults, of which {} were sampled: {} complete, {} "
        "mixed, {} truncated",
        aggregate.samples, aggregate.records, aggregate.complete,
        aggregate.mixed, aggregate.truncated);
  }
  return fmt::format(
      "user stacks of {} samples: {} complete, {} mixed, {} truncated, {} none",
      aggregate.samples, aggregate.complete, aggregate.mixed,
      aggregate.truncated, aggregate.without_user);
}

}  // namespace

std::vector<std::string> DescribeQuality(const Aggregate& aggregate,
                                         ProfileKind kind, bool is_whole_host,
                                         const NamingOutcome& naming) {
  std::vector<std::string> lines;
  lines.push_back(DescribeStacks(aggregate, kind));
  for (const auto& [reason, count] : aggregate.reasons) {
    lines.push_back(
        fmt::format("truncated: {}: {}", ReasonText(reason), count));
  }
  if (!aggregate.lost.empty()) {
    lines.push_back(DescribeLosses(aggregate, is_whole_host));
  }
  if (aggregate.periods.size() > 1) {
    std::string periods;
    for (const auto& [period, samples] : aggregate.periods) {
      periods += fmt::format("{}{} ns {}", periods.empty() ? "" : ", ", period,
                             samples);
    }
    lines.push_back("mixed sampling periods: " + periods);
  }
  lines.push_back(fmt::format("unresolved locations: {} of {}",
                              naming.unresolved, naming.locations));
  for (const std::string& problem : naming.problems) {
    lines.push_back("names are missing: " + problem);
  }
  if (naming.problems_left_out > 0) {
    lines.push_back(fmt::format("names are missing: of {} files more",
                                naming.problems_left_out));
  }
  if (naming.is_late) {
    lines.push_back("symbolization met its deadline; some names are missing");
  }
  return lines;
}

}  // namespace pprofd
