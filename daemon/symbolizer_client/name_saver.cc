#include "daemon/symbolizer_client/name_saver.h"

namespace pprofd {

NameSaver::~NameSaver() {
  {
    std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void NameSaver::Run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kInterval, [this] { return is_ending_; })) {
    lock.unlock();
    if (client_.has_unsaved()) client_.SaveNames(false);
    lock.lock();
  }
  lock.unlock();
  if (client_.has_unsaved()) client_.SaveNames(true);
}

}  // namespace pprofd
