// Aggregate: samples of a time range, folded and not yet symbolized.
//
// What a query hands to the profile builder; made by aggregate/ from history
// windows or from a capture. Rows with equal process, thread fields and stack
// are merged; the caller says which thread fields matter.
// Thread: value.
#ifndef DAEMON_MODEL_AGGREGATE_H_
#define DAEMON_MODEL_AGGREGATE_H_

#include <cstdint>
#include <map>
#include <vector>

#include "daemon/base/clock.h"
#include "daemon/model/frame.h"
#include "daemon/model/ids.h"
#include "daemon/model/profile_kind.h"
#include "daemon/model/sample.h"

namespace pprofd {

struct AggregateRow {
  ProcessKey process;
  int32_t tid = 0;  // fields not asked for are zero
  Comm comm{};
  uint32_t cpu = 0;
  uint64_t cgroup_id = 0;
  uint32_t stack = 0;       // index into Aggregate::stacks
  int64_t block_bytes = 0;  // heap only: size of its blocks
  SampleValues values{};    // of the profile kind's value types
};

struct Aggregate {
  BootTime start;
  BootTime end;
  std::vector<AggregateRow> rows;
  // Distinct stacks, leaf first: kernel frames, user frames, reason frame.
  std::vector<std::vector<Frame>> stacks;
  int64_t records = 0;  // samples taken, each of which may stand for several
  // Totals over the rows.
  int64_t samples = 0;
  int64_t value = 0;
  int64_t complete = 0;
  int64_t mixed = 0;
  int64_t truncated = 0;
  int64_t without_user = 0;             // kernel threads, idle
  std::map<uint32_t, int64_t> reasons;  // truncated samples by reason
  // Samples of this range known to be lost, by reason (drop_reasons.def).
  std::map<uint32_t, int64_t> lost;
  // The periods met; more than one when rates were mixed.
  std::map<int64_t, int64_t> periods;  // value of a sample -> samples
};

// Which thread fields keep rows apart.
struct AggregateFields {
  bool tid = false;
  bool comm = false;
  bool cpu = false;
  bool cgroup = false;
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_AGGREGATE_H_
