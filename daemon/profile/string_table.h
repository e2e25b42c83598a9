// StringTable: every text of a profile once, "" first.
//
// Texts come from targets: bad UTF-8 is replaced and length is cut here, so
// that texts which become equal by that share one entry.
// Owns: the texts. Borrows: nothing between calls.
// Thread: one thread.
// Bound: kMaxTextBytes a text.
#ifndef DAEMON_PROFILE_STRING_TABLE_H_
#define DAEMON_PROFILE_STRING_TABLE_H_

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/model/profile.h"

namespace pprofd {

class StringTable {
 public:
  static constexpr size_t kMaxTextBytes = 65'535;

  StringTable() { Add(""); }

  StringIndex Add(std::string_view text);
  size_t size() const { return texts_.size(); }

  // The table by index; nothing may be added afterwards.
  std::vector<std::string> Take() &&;

 private:
  std::deque<std::string> texts_;  // elements stay where they are
  absl::flat_hash_map<std::string_view, StringIndex> index_;
};

}  // namespace pprofd

#endif  // DAEMON_PROFILE_STRING_TABLE_H_
