#include "daemon/profile/sample_collector.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string_view>

#include "bpf/abi.h"

namespace pprofd {
namespace {

Comm CommOf(std::string_view text) {
  Comm comm{};
  std::copy_n(text.begin(), std::min(text.size(), comm.size()), comm.begin());
  return comm;
}

bool HasProcessCode(const std::vector<Frame>& stack) {
  return std::any_of(stack.begin(), stack.end(), [](Frame frame) {
    return frame.kind() == FrameKind::kAddress;
  });
}

}  // namespace

int64_t CountOwnLosses(const Aggregate& aggregate, bool is_whole_host) {
  int64_t total = 0;
  for (const auto& [reason, count] : aggregate.lost) {
    if (is_whole_host || reason == PPROFD_REASON_CAPTURE_FULL) total += count;
  }
  return total;
}

void SampleCollector::Collect(const Aggregate& aggregate,
                              const ProfileMeta& meta,
                              const RenderOptions& options) {
  bool is_whole_host = !meta.process.has_value();
  auto asked = [&options](std::string_view label) {
    return std::find(options.labels.begin(), options.labels.end(), label) !=
           options.labels.end();
  };
  Shown shown{.pid = is_whole_host || asked("pid"),
              .comm = is_whole_host || asked("comm"),
              .thread = asked("thread"),
              .tid = asked("tid"),
              .cpu = asked("cpu"),
              .cgroup = asked("cgroup")};
  ChooseAddressSpace(aggregate, meta);
  for (const AggregateRow& row : aggregate.rows) {
    SampleSet::Sample sample{
        .sequence = SequenceOf(aggregate, row, options.include_kernel),
        .labels = LabelsOf(row, shown, is_whole_host),
        .values = row.values};
    Weigh(sample);
    samples_.AddSample(sample);
  }
  int64_t lost = CountOwnLosses(aggregate, is_whole_host);
  if (lost > 0) AddLosses(lost, meta.period);
}

const ProcessInfo* SampleCollector::FindProcess(const ProcessKey& key) {
  auto [it, inserted] = process_cache_.try_emplace(key);
  if (inserted) it->second = processes_.FindProcess(key);
  return it->second ? &*it->second : nullptr;
}

// True mappings only when all samples are of one process; the main executable
// is that process's, or the most sampled one's.
void SampleCollector::ChooseAddressSpace(const Aggregate& aggregate,
                                         const ProfileMeta& meta) {
  if (meta.process) {
    bool is_alone = std::all_of(aggregate.rows.begin(), aggregate.rows.end(),
                                [&meta](const AggregateRow& row) {
                                  return row.process == *meta.process;
                                });
    const ProcessInfo* process = FindProcess(*meta.process);
    if (process == nullptr) return;
    if (is_alone) space_.UseMappingsOf(*process);
    space_.SetMain(*process);
    return;
  }
  std::map<ProcessKey, int64_t> totals;
  for (const AggregateRow& row : aggregate.rows) {
    totals[row.process] += row.values[0];
  }
  std::vector<std::pair<ProcessKey, int64_t>> heaviest(totals.begin(),
                                                       totals.end());
  std::stable_sort(
      heaviest.begin(), heaviest.end(),
      [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const auto& [key, count] : heaviest) {
    const ProcessInfo* process = FindProcess(key);
    if (process != nullptr && space_.SetMain(*process)) return;
  }
}

uint32_t SampleCollector::SequenceOf(const Aggregate& aggregate,
                                     const AggregateRow& row,
                                     bool include_kernel) {
  const std::vector<Frame>& stack = aggregate.stacks[row.stack];
  ProcessKey owner;
  if (HasProcessCode(stack)) owner = row.process;
  auto known = sequences_.find({row.stack, owner});
  if (known != sequences_.end()) return known->second;

  std::vector<uint32_t> sequence;
  sequence.reserve(stack.size());
  bool has_kernel = false;
  for (Frame frame : stack) {
    switch (frame.kind()) {
      case FrameKind::kKernel:
        has_kernel = true;
        if (!include_kernel) continue;
        break;
      case FrameKind::kFile:
      case FrameKind::kAddress:
      case FrameKind::kReason:
        break;
      default:
        continue;
    }
    sequence.push_back(locations_.Intern(row.process, frame));
  }
  if (sequence.empty()) {
    sequence.push_back(
        locations_.InternText(has_kernel ? "[kernel]" : "[no stack]"));
  }
  uint32_t number = samples_.AddSequence(std::move(sequence));
  sequences_.emplace(std::pair(row.stack, owner), number);
  return number;
}

SampleLabels SampleCollector::LabelsOf(const AggregateRow& row,
                                       const Shown& shown, bool is_whole_host) {
  SampleLabels labels;
  if (shown.pid) labels.pid = row.process.pid;
  if (is_whole_host) {
    const ProcessInfo* process = FindProcess(row.process);
    labels.comm = process != nullptr && !process->comm.empty()
                      ? CommOf(process->comm)
                      : CommOf("[unknown]");
  } else if (shown.comm) {
    labels.comm = row.comm;
  }
  if (shown.thread) labels.thread = row.comm;
  if (shown.tid) labels.tid = row.tid;
  if (shown.cpu) labels.cpu = row.cpu;
  if (shown.cgroup) labels.cgroup_id = row.cgroup_id;
  labels.block_bytes = row.block_bytes;
  return labels;
}

void SampleCollector::AddLosses(int64_t count, int64_t period) {
  SampleSet::Sample sample{.sequence = samples_.AddSequence(
                               {locations_.InternText("[lost samples]")}),
                           .labels = {},
                           .values = {count, count * period}};
  samples_.AddSample(sample);
}

void SampleCollector::Weigh(const SampleSet::Sample& sample) {
  for (uint32_t location : samples_.sequence(sample.sequence)) {
    locations_.locations()[location].weight += std::abs(sample.values[0]);
  }
}

}  // namespace pprofd
