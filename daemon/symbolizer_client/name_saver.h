// NameSaver: has a symbolizer save what it has found, now and then.
//
// On a thread of its own, so that neither samples nor profiles wait for it.
// Owns: the thread. Borrows: the client.
// Thread: made and ended by one owner.
// Bound: a request every kInterval while there is something to save; as it
//   ends, one more, for all.
#ifndef DAEMON_SYMBOLIZER_CLIENT_NAME_SAVER_H_
#define DAEMON_SYMBOLIZER_CLIENT_NAME_SAVER_H_

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "daemon/symbolizer_client/symbolizer_client.h"

namespace pprofd {

class NameSaver {
 public:
  static constexpr std::chrono::seconds kInterval{1};

  explicit NameSaver(SymbolizerClient& client)
      : client_(client), thread_([this] { Run(); }) {}
  ~NameSaver();

 private:
  void Run();

  SymbolizerClient& client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_ending_ = false;  // guarded by mutex_
  std::thread thread_;      // uses all of the above
};

}  // namespace pprofd

#endif  // DAEMON_SYMBOLIZER_CLIENT_NAME_SAVER_H_
