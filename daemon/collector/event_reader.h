// EventReader: drains the ring buffer, decodes, feeds the sink.
//
// Records come without wake-ups, which cost more than an unwind; the reader
// polls, and drains explicitly because epoll does not fire for such records.
// Only new modules and a filling ring wake it.
// Owns: the reader thread, the ring's user half. Borrows: the ring's descriptor
//   and the sink, which must outlive it.
// Thread: Start and Stop on one thread; Drain from any.
#ifndef DAEMON_COLLECTOR_EVENT_READER_H_
#define DAEMON_COLLECTOR_EVENT_READER_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/event_sink.h"

struct ring_buffer;

namespace pprofd {

class EventReader {
 public:
  EventReader(int ring_fd, EventSink& sink) : ring_fd_(ring_fd), sink_(sink) {}
  ~EventReader() { Stop(); }
  EventReader(const EventReader&) = delete;
  EventReader& operator=(const EventReader&) = delete;

  Status Start();
  void Stop();
  // Returns when all events sent before the call have reached the sink.
  void Drain();

 private:
  static int OnRecord(void* reader, void* data, size_t size);
  void Dispatch(std::span<const uint8_t> bytes);
  void Run();

  const int ring_fd_;
  EventSink& sink_;
  ring_buffer* ring_ = nullptr;
  UniqueFd wake_;  // eventfd: Drain and Stop
  UniqueFd poll_;  // epoll over the ring and wake_
  std::thread thread_;
  Sample sample_;  // reader thread only

  std::mutex mutex_;
  std::condition_variable drained_;
  // Guarded by mutex_:
  uint64_t drains_wanted_ = 0;
  uint64_t drains_done_ = 0;
  bool stopping_ = false;
};

}  // namespace pprofd

#endif  // DAEMON_COLLECTOR_EVENT_READER_H_
