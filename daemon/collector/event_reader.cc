#include "daemon/collector/event_reader.h"

#include <bpf/libbpf.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>

#include "daemon/base/telemetry.h"
#include "daemon/base/urgency.h"
#include "daemon/collector/event_decoder.h"
#include "daemon/model/reason_counts.h"

namespace pprofd {
namespace {

constexpr int kPollMs = 100;

Status AddToPoll(int poll, int fd) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0) {
    return Status::FromErrno(errno, "epoll_ctl for the event reader");
  }
  return Status::Ok();
}

}  // namespace

Status EventReader::Start() {
  ring_ = ring_buffer__new(ring_fd_, OnRecord, this, nullptr);
  if (ring_ == nullptr) {
    return Status::FromErrno(errno, "cannot map the ring buffer");
  }
  wake_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  poll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!wake_ || !poll_) {
    return Status::FromErrno(errno, "cannot set up the event reader");
  }
  RETURN_IF_ERROR(AddToPoll(poll_.get(), wake_.get()));
  RETURN_IF_ERROR(AddToPoll(poll_.get(), ring_buffer__epoll_fd(ring_)));
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "reader");
  return Status::Ok();
}

void EventReader::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) {
    eventfd_write(wake_.get(), 1);
    thread_.join();
  }
  if (ring_ != nullptr) ring_buffer__free(ring_);
  ring_ = nullptr;
}

void EventReader::Drain() {
  std::unique_lock lock(mutex_);
  if (stopping_ || !thread_.joinable()) return;
  uint64_t wanted = ++drains_wanted_;
  eventfd_write(wake_.get(), 1);
  drained_.wait(lock, [&] { return drains_done_ >= wanted || stopping_; });
}

void EventReader::Run() {
  MakeUrgent(0);  // when the ring fills
  bool stopping = false;
  while (!stopping) {
    epoll_event ready[2];
    epoll_wait(poll_.get(), ready, 2, kPollMs);
    eventfd_t ignored;
    eventfd_read(wake_.get(), &ignored);
    uint64_t wanted;
    {
      std::lock_guard lock(mutex_);
      wanted = drains_wanted_;
      stopping = stopping_;
    }
    ring_buffer__consume(ring_);
    sink_.OnBatchEnd();
    {
      std::lock_guard lock(mutex_);
      drains_done_ = wanted;
    }
    drained_.notify_all();
  }
}

int EventReader::OnRecord(void* reader, void* data, size_t size) {
  static_cast<EventReader*>(reader)->Dispatch(
      {static_cast<const uint8_t*>(data), size});
  return 0;
}

void EventReader::Dispatch(std::span<const uint8_t> bytes) {
  Count(Counter::events_read);
  bool is_known = false;
  switch (EventKindOf(bytes).value_or(0)) {
    case PPROFD_EVENT_SAMPLE:
      is_known = DecodeSample(bytes, sample_);
      if (is_known) {
        Count(Counter::samples_read);
        sink_.OnSample(sample_);
      }
      break;
    case PPROFD_EVENT_NEW_MODULE:
      if (auto event = DecodeNewModule(bytes)) {
        is_known = true;
        sink_.OnNewModule(std::move(*event));
      }
      break;
    case PPROFD_EVENT_FREE:
      if (auto event = DecodeFree(bytes)) {
        is_known = true;
        sink_.OnFree(*event);
      }
      break;
    case PPROFD_EVENT_EXEC:
      if (auto event = DecodeExec(bytes)) {
        is_known = true;
        sink_.OnExec(std::move(*event));
      }
      break;
    case PPROFD_EVENT_EXIT:
      if (auto event = DecodeExit(bytes)) {
        is_known = true;
        sink_.OnExit(*event);
      }
      break;
  }
  if (!is_known) GlobalReasonCounts().Add(PPROFD_REASON_CORRUPT_EVENT);
}

}  // namespace pprofd
