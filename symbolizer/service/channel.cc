#include "symbolizer/service/channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

namespace pprofd {
namespace {

struct Header {
  uint32_t bytes = 0;
  uint32_t descriptors = 0;
};
static_assert(sizeof(Header) == 8);

// Grows by what may be there at once, so that a lie about the length is cheap.
constexpr size_t kReceiveStep = 1 << 20;

using ControlBuffer =
    std::array<char, CMSG_SPACE(sizeof(int) * Channel::kMaxDescriptors)>;

Status Left() { return Status(StatusCode::kGone, "the other end has left"); }

bool IsAgain(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

Status FromSocketError(int error, const char* what) {
  if (error == EPIPE || error == ECONNRESET) return Left();
  return Status::FromErrno(error, what);
}

void TakeDescriptors(msghdr* message, std::vector<UniqueFd>* taken) {
  for (cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr;
       part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      taken->emplace_back(fd);
    }
  }
}

}  // namespace

Status Channel::Wait(short events, Deadline deadline) const {
  while (true) {
    int timeout_ms = -1;
    if (deadline != Deadline::max()) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(
          deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return Status(StatusCode::kTimeout, "no answer");
      timeout_ms = static_cast<int>(
          std::min<int64_t>(left.count(), std::numeric_limits<int>::max()));
    }
    pollfd waiting{.fd = socket_.get(), .events = events, .revents = 0};
    int ready = poll(&waiting, 1, timeout_ms);
    if (ready > 0) return Status::Ok();
    if (ready < 0 && errno != EINTR) return Status::FromErrno(errno, "poll");
  }
}

Status Channel::WaitToSend(Deadline deadline) const {
  Status status = Wait(POLLOUT, deadline);
  if (status.code() != StatusCode::kTimeout) return status;
  return Status(StatusCode::kIo, "the other end does not read");
}

Status Channel::Send(const google::protobuf::MessageLite& message,
                     std::span<const int> descriptors, Deadline deadline) {
  std::string bytes(sizeof(Header), '\0');
  if (!message.AppendToString(&bytes) ||
      bytes.size() - sizeof(Header) > kMaxFrameBytes ||
      descriptors.size() > kMaxDescriptors) {
    return Status(StatusCode::kExhausted, "message too large");
  }
  Header header{.bytes = static_cast<uint32_t>(bytes.size() - sizeof(Header)),
                .descriptors = static_cast<uint32_t>(descriptors.size())};
  std::memcpy(bytes.data(), &header, sizeof(header));

  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  alignas(cmsghdr) ControlBuffer control{};
  msghdr first{};
  first.msg_iov = &part;
  first.msg_iovlen = 1;
  if (!descriptors.empty()) {
    first.msg_control = control.data();
    first.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&first);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(),
                descriptors.size_bytes());
  }
  while (true) {
    ssize_t sent = sendmsg(socket_.get(), &first, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      return SendAll(
          std::span<const char>(bytes).subspan(static_cast<size_t>(sent)),
          deadline);
    }
    if (!IsAgain(errno)) return FromSocketError(errno, "sendmsg");
    RETURN_IF_ERROR(WaitToSend(deadline));
  }
}

Status Channel::SendAll(std::span<const char> bytes, Deadline deadline) {
  while (!bytes.empty()) {
    iovec part{.iov_base = const_cast<char*>(bytes.data()),
               .iov_len = bytes.size()};
    msghdr next{};
    next.msg_iov = &part;
    next.msg_iovlen = 1;
    ssize_t sent = sendmsg(socket_.get(), &next, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(sent));
      continue;
    }
    if (!IsAgain(errno)) return FromSocketError(errno, "sendmsg");
    RETURN_IF_ERROR(WaitToSend(deadline));
  }
  return Status::Ok();
}

Status Channel::Receive(google::protobuf::MessageLite* message,
                        std::vector<UniqueFd>* descriptors, Deadline deadline) {
  RETURN_IF_ERROR(ReceiveHeader(deadline));
  Header header;
  std::memcpy(&header, header_.data(), sizeof(header));
  if (header.bytes > kMaxFrameBytes ||
      header.descriptors != descriptors_.size()) {
    return Status(StatusCode::kCorrupt, "a frame that makes no sense");
  }
  RETURN_IF_ERROR(ReceiveBody(header.bytes, deadline));
  header_.clear();
  std::string body = std::exchange(body_, {});
  std::vector<UniqueFd> taken = std::exchange(descriptors_, {});
  if (!message->ParseFromString(body)) {
    return Status(StatusCode::kCorrupt, "a message that makes no sense");
  }
  if (descriptors != nullptr) *descriptors = std::move(taken);
  return Status::Ok();
}

Status Channel::ReceiveHeader(Deadline deadline) {
  while (header_.size() < sizeof(Header)) {
    RETURN_IF_ERROR(Wait(POLLIN, deadline));
    std::array<char, sizeof(Header)> bytes;
    iovec part{.iov_base = bytes.data(),
               .iov_len = sizeof(Header) - header_.size()};
    alignas(cmsghdr) ControlBuffer control{};
    msghdr next{};
    next.msg_iov = &part;
    next.msg_iovlen = 1;
    next.msg_control = control.data();
    next.msg_controllen = control.size();
    ssize_t got =
        recvmsg(socket_.get(), &next, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got == 0) return Left();
    if (got < 0) {
      if (IsAgain(errno)) continue;
      return FromSocketError(errno, "recvmsg");
    }
    TakeDescriptors(&next, &descriptors_);
    if (descriptors_.size() > kMaxDescriptors) {
      return Status(StatusCode::kCorrupt, "more descriptors than allowed");
    }
    header_.append(bytes.data(), static_cast<size_t>(got));
  }
  return Status::Ok();
}

Status Channel::ReceiveBody(size_t size, Deadline deadline) {
  while (body_.size() < size) {
    RETURN_IF_ERROR(Wait(POLLIN, deadline));
    size_t before = body_.size();
    body_.resize(std::min(size, before + kReceiveStep));
    iovec part{.iov_base = body_.data() + before,
               .iov_len = body_.size() - before};
    // Room for descriptors is not given: none may come here.
    msghdr next{};
    next.msg_iov = &part;
    next.msg_iovlen = 1;
    ssize_t got = recvmsg(socket_.get(), &next, MSG_DONTWAIT);
    int error = errno;
    body_.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return Left();
    if (got < 0 && !IsAgain(error)) return FromSocketError(error, "recvmsg");
  }
  return Status::Ok();
}

}  // namespace pprofd
