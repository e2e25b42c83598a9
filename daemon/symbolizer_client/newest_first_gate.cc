#include "daemon/symbolizer_client/newest_first_gate.h"

#include <algorithm>

namespace pprofd {

bool NewestFirstGate::Enter(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  if (!is_taken_ && waiting_.empty()) return is_taken_ = true;
  if (waiting_.size() == kMaxWaiting) {
    waiting_.erase(waiting_.begin());
    changed_.notify_all();
  }
  uint64_t ticket = ++tickets_;
  waiting_.push_back(ticket);
  auto is_turned_away = [&] {
    return std::find(waiting_.begin(), waiting_.end(), ticket) ==
           waiting_.end();
  };
  bool is_decided = changed_.wait_until(lock, deadline, [&] {
    return is_turned_away() || (!is_taken_ && waiting_.back() == ticket);
  });
  bool may_enter = is_decided && !is_turned_away();
  std::erase(waiting_, ticket);
  if (may_enter) {
    is_taken_ = true;
  } else {
    changed_.notify_all();  // another is the newest now
  }
  return may_enter;
}

void NewestFirstGate::Leave() {
  {
    std::lock_guard lock(mutex_);
    is_taken_ = false;
  }
  changed_.notify_all();
}

size_t NewestFirstGate::waiting() const {
  std::lock_guard lock(mutex_);
  return waiting_.size();
}

}  // namespace pprofd
