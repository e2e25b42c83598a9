#include "daemon/aggregate/aggregate_fold.h"

#include <algorithm>

namespace pprofd {
namespace {

constexpr uint32_t kFiltered = UINT32_MAX;
constexpr uint32_t kUnmapped = UINT32_MAX;

}  // namespace

void AggregateFold::Add(const Window& window) {
  std::vector<uint32_t> threads = MapThreads(window);
  std::vector<uint32_t> stacks(window.stacks().size(), kUnmapped);
  for (const Window::Row& row : window.rows()) {
    if (row.time < range_.start || row.time >= range_.end) continue;
    uint32_t thread = threads[row.thread];
    if (thread == kFiltered) continue;
    const Window::Cost& cost = window.costs()[row.cost];
    AddRow({.thread = thread,
            .stack = MapStack(window, row.stack, stacks),
            .cpu = fields_.cpu ? row.cpu : 0u},
           cost);
    AddTotals(row, cost);
  }
  for (const Window::Loss& loss : window.losses()) {
    if (loss.time < range_.start || loss.time >= range_.end) continue;
    aggregate_.lost[loss.reason] += loss.count;
  }
}

std::vector<uint32_t> AggregateFold::MapThreads(const Window& window) {
  std::vector<uint32_t> mapped;
  mapped.reserve(window.threads().size());
  for (const Window::Thread& thread : window.threads()) {
    const ProcessKey& process = window.processes()[thread.process].key;
    if (!filter_.Matches(process) ||
        (filter_.tid != 0 && filter_.tid != thread.tid)) {
      mapped.push_back(kFiltered);
      continue;
    }
    Thread masked{.process = process};
    if (fields_.tid) masked.tid = thread.tid;
    if (fields_.comm) masked.comm = thread.comm;
    if (fields_.cgroup) masked.cgroup_id = thread.cgroup_id;
    auto [it, inserted] = thread_index_.try_emplace(
        masked, static_cast<uint32_t>(threads_.size()));
    if (inserted) threads_.push_back(masked);
    mapped.push_back(it->second);
  }
  return mapped;
}

// `known` holds our number of each node of the window's that has one. Walks up
// to the nearest such node, then down again.
uint32_t AggregateFold::MapStack(const Window& window, uint32_t stack,
                                 std::vector<uint32_t>& known) {
  const StackTable& source = window.stacks();
  uint32_t node = stack;
  std::vector<uint32_t> path;
  while (node != StackTable::kEmpty && known[node] == kUnmapped) {
    path.push_back(node);
    node = source.parent(node);
  }
  uint32_t mapped = node == StackTable::kEmpty ? node : known[node];
  for (size_t i = path.size(); i-- > 0;) {
    // Our table has no bound of its own, so there is always an answer.
    mapped = stacks_.InternCallee(mapped, source.frame(path[i]))
                 .value_or(StackTable::kEmpty);
    known[path[i]] = mapped;
  }
  return mapped;
}

void AggregateFold::AddRow(const RowKey& key, const Window::Cost& cost) {
  auto [it, inserted] = row_index_.try_emplace(
      key, static_cast<uint32_t>(aggregate_.rows.size()));
  if (inserted) {
    const Thread& thread = threads_[key.thread];
    aggregate_.rows.push_back({.process = thread.process,
                               .tid = thread.tid,
                               .comm = thread.comm,
                               .cpu = key.cpu,
                               .cgroup_id = thread.cgroup_id,
                               .stack = key.stack});
  }
  AggregateRow& row = aggregate_.rows[it->second];
  row.values[0] += cost.count;
  row.values[1] += cost.value;
}

void AggregateFold::AddTotals(const Window::Row& row,
                              const Window::Cost& cost) {
  aggregate_.records += 1;
  aggregate_.samples += cost.count;
  aggregate_.value += cost.value;
  if (cost.count > 0) {
    aggregate_.periods[cost.value / cost.count] += cost.count;
  }
  switch (row.result) {
    case UnwindResult::kNone:
      aggregate_.without_user += cost.count;
      break;
    case UnwindResult::kComplete:
      aggregate_.complete += cost.count;
      break;
    case UnwindResult::kMixed:
      aggregate_.mixed += cost.count;
      break;
    case UnwindResult::kTruncated:
      aggregate_.truncated += cost.count;
      aggregate_.reasons[row.reason] += cost.count;
      break;
  }
}

Aggregate AggregateFold::Finish() && {
  aggregate_.start = range_.start;
  aggregate_.end = std::max(range_.start, range_.end);
  absl::flat_hash_map<uint32_t, uint32_t> numbers;
  for (AggregateRow& row : aggregate_.rows) {
    auto [it, inserted] = numbers.try_emplace(
        row.stack, static_cast<uint32_t>(aggregate_.stacks.size()));
    if (inserted) aggregate_.stacks.push_back(stacks_.Frames(row.stack));
    row.stack = it->second;
  }
  return std::move(aggregate_);
}

}  // namespace pprofd
