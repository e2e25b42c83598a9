// HeapSelection: processes whose allocations are tracked without being asked.
//
// Rules: "exe:/usr/sbin/nginx" (the very path of the executable file),
// "unit:nginx.service" (a systemd unit, and all below it) and "container:ID"
// (12 to 64 hexadecimal digits that its ID begins with). Units and containers
// are told by the names of control groups.
// Thread: immutable. Bound: kMaxRules.
#ifndef DAEMON_MODEL_HEAP_SELECTION_H_
#define DAEMON_MODEL_HEAP_SELECTION_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/status.h"

namespace pprofd {

class HeapSelection {
 public:
  static constexpr size_t kMaxRules = 64;

  HeapSelection() = default;
  // Fails: Invalid, with the rule.
  static Result<HeapSelection> Parse(std::span<const std::string> rules);

  bool empty() const { return rules_.empty(); }
  // `control_groups`: the text of /proc/PID/cgroup.
  bool Matches(std::string_view exe, std::string_view control_groups) const;

 private:
  enum class Kind { kExe, kUnit, kContainer };
  struct Rule {
    Kind kind = Kind::kExe;
    std::string value;
  };

  std::vector<Rule> rules_;
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_HEAP_SELECTION_H_
