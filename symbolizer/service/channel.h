// Channel: messages with descriptors over a Unix stream socket.
//
// A frame is 8 bytes (length and number of descriptors, little-endian), with
// which the descriptors travel (SCM_RIGHTS), and a protobuf message.
// Owns: the socket. Thread: one at a time.
// Bound: kMaxFrameBytes, kMaxDescriptors; memory grows with what has arrived,
//   not with what was announced.
// Fails: Gone (the other end has left), Timeout (of Receive only: the next one
//   goes on where it stopped), Corrupt, Io. After any other failure the channel
//   is out of step and of no more use.
#ifndef SYMBOLIZER_SERVICE_CHANNEL_H_
#define SYMBOLIZER_SERVICE_CHANNEL_H_

#include <google/protobuf/message_lite.h>

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"

namespace pprofd {

class Channel {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  static constexpr size_t kMaxFrameBytes = 256 << 20;
  static constexpr size_t kMaxDescriptors = 4;

  Channel() = default;
  explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}

  // `descriptors` are borrowed; the other end gets its own.
  Status Send(const google::protobuf::MessageLite& message,
              std::span<const int> descriptors, Deadline deadline);
  // Parses into `message`; descriptors beyond those wanted are closed.
  Status Receive(google::protobuf::MessageLite* message,
                 std::vector<UniqueFd>* descriptors, Deadline deadline);

  bool is_open() const { return static_cast<bool>(socket_); }
  int socket() const { return socket_.get(); }
  void Close() { socket_.Reset(); }

 private:
  Status Wait(short events, Deadline deadline) const;
  Status WaitToSend(Deadline deadline) const;
  Status SendAll(std::span<const char> bytes, Deadline deadline);
  // Both go on until the parts below are whole.
  Status ReceiveHeader(Deadline deadline);
  Status ReceiveBody(size_t size, Deadline deadline);

  UniqueFd socket_;
  // Of the frame that is arriving:
  std::string header_;
  std::string body_;
  std::vector<UniqueFd> descriptors_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_SERVICE_CHANNEL_H_
