#include "symbolizer/service/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <thread>

#include "proto/symbolizer.pb.h"

namespace pprofd {
namespace {

class ChannelTest : public testing::Test {
 protected:
  ChannelTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()),
              0);
    left_ = Channel(UniqueFd(ends[0]));
    right_ = Channel(UniqueFd(ends[1]));
  }
  static Channel::Deadline Soon() {
    return std::chrono::steady_clock::now() + std::chrono::seconds(30);
  }
  static Channel::Deadline Past() {
    return std::chrono::steady_clock::now() - std::chrono::seconds(1);
  }
  void SendRaw(const void* bytes, size_t size) {
    ASSERT_EQ(send(left_.socket(), bytes, size, 0), static_cast<ssize_t>(size));
  }

  Channel left_;
  Channel right_;
};

TEST_F(ChannelTest, CarriesAMessageAndItsDescriptors) {
  UniqueFd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  wire::Request sent;
  sent.mutable_report()->set_key("k");
  int fd = file.get();
  ASSERT_TRUE(left_.Send(sent, {&fd, 1}, Soon()).ok());
  wire::Request received;
  std::vector<UniqueFd> files;
  ASSERT_TRUE(right_.Receive(&received, &files, Soon()).ok());
  EXPECT_EQ(received.report().key(), "k");
  ASSERT_EQ(files.size(), 1u);
  EXPECT_NE(files[0].get(), fd);
  EXPECT_EQ(fcntl(files[0].get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  char start[4];
  EXPECT_EQ(read(files[0].get(), start, 4), 4);
}

TEST_F(ChannelTest, CarriesMoreThanASocketHolds) {
  wire::Reply sent;
  sent.mutable_table()->set_rows(std::string(32 << 20, 'r'));
  std::thread sender([&] { EXPECT_TRUE(left_.Send(sent, {}, Soon()).ok()); });
  wire::Reply received;
  Status status = right_.Receive(&received, nullptr, Soon());
  sender.join();
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(received.table().rows().size(), sent.table().rows().size());
}

TEST_F(ChannelTest, GoesOnAfterATimeoutInsideAFrame) {
  wire::Request sent;
  sent.mutable_report()->set_key("late");
  std::string body = sent.SerializeAsString();
  std::array<uint32_t, 2> header{static_cast<uint32_t>(body.size()), 0};
  SendRaw(header.data(), 5);
  wire::Request received;
  EXPECT_EQ(right_.Receive(&received, nullptr, Past()).code(),
            StatusCode::kTimeout);
  SendRaw(reinterpret_cast<const char*>(header.data()) + 5, 3);
  SendRaw(body.data(), 1);
  auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  EXPECT_EQ(right_.Receive(&received, nullptr, soon).code(),
            StatusCode::kTimeout);
  SendRaw(body.data() + 1, body.size() - 1);
  ASSERT_TRUE(right_.Receive(&received, nullptr, Soon()).ok());
  EXPECT_EQ(received.report().key(), "late");
}

TEST_F(ChannelTest, SaysThatTheOtherEndHasLeft) {
  left_.Close();
  wire::Request request;
  EXPECT_EQ(right_.Receive(&request, nullptr, Soon()).code(),
            StatusCode::kGone);
  EXPECT_EQ(right_.Send(request, {}, Soon()).code(), StatusCode::kGone);
}

TEST_F(ChannelTest, RefusesAFrameOfAbsurdLength) {
  std::array<uint32_t, 2> header{UINT32_MAX, 0};
  SendRaw(header.data(), sizeof(header));
  wire::Request request;
  EXPECT_EQ(right_.Receive(&request, nullptr, Soon()).code(),
            StatusCode::kCorrupt);
}

TEST_F(ChannelTest, RefusesDescriptorsThatDidNotCome) {
  std::array<uint32_t, 2> header{0, 1};
  SendRaw(header.data(), sizeof(header));
  wire::Request request;
  EXPECT_EQ(right_.Receive(&request, nullptr, Soon()).code(),
            StatusCode::kCorrupt);
}

TEST_F(ChannelTest, RefusesWhatIsNoMessage) {
  std::array<uint32_t, 2> header{3, 0};
  SendRaw(header.data(), sizeof(header));
  SendRaw("\xff\xff\xff", 3);
  wire::Request request;
  EXPECT_EQ(right_.Receive(&request, nullptr, Soon()).code(),
            StatusCode::kCorrupt);
}

}  // namespace
}  // namespace pprofd
