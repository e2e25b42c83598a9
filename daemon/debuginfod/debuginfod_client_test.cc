#include "daemon/debuginfod/debuginfod_client.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "daemon/base/telemetry.h"
#include "daemon/debuginfod/fake_file_server.h"
#include "daemon/debuginfod/temp_folder_for_test.h"
#include "symbolizer/elf_file.h"

namespace pprofd {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Reply = FakeFileServer::Reply;

constexpr seconds kLongEnough{30};

std::string DebugFile() {
  return ReadWhole(std::string(PPROFD_KNOWN_CODE) + ".debug");
}

BuildId KnownId() {
  UniqueFd file(open(PPROFD_KNOWN_CODE, O_RDONLY | O_CLOEXEC));
  auto map = MapFile(file.get());
  return ElfFile::Parse(Bytes(*map))->build_id();
}

BuildId Id(char c) { return BuildId(std::string(20, c)); }

std::string PathFor(const BuildId& id) {
  return "/buildid/" + id.Hex() + "/debuginfo";
}

struct Answer {
  BuildId build_id;
  std::vector<std::string> askers;
  bool is_here = false;
};

// Answers of a client, awaited one by one.
class Answers {
 public:
  DebuginfodClient::OnAnswer Listener() {
    return [this](const BuildId& id, const std::vector<std::string>& askers,
                  bool is_here) {
      std::lock_guard lock(mutex_);
      answers_.push_back({id, askers, is_here});
      changed_.notify_all();
    };
  }
  Answer Next() {
    std::unique_lock lock(mutex_);
    bool is_there = changed_.wait_for(lock, kLongEnough,
                                      [this] { return !answers_.empty(); });
    EXPECT_TRUE(is_there);
    if (!is_there) return {};
    Answer answer = answers_.front();
    answers_.pop_front();
    return answer;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Answer> answers_;
};

class DebuginfodClientTest : public testing::Test {
 protected:
  DebuginfodClient::Options Options(const FakeFileServer& server) {
    DebuginfodClient::Options options;
    options.urls = {server.url()};
    options.folder = folder_ / "store";
    options.program = PPROFD_DEBUGINFOD;
    options.timeout = kLongEnough;
    return options;
  }
  std::unique_ptr<DebuginfodClient> Start(DebuginfodClient::Options options) {
    auto client = DebuginfodClient::Create(std::move(options), clock_,
                                           answers_.Listener());
    EXPECT_TRUE(client.ok()) << client.status().message();
    return std::move(*client);
  }
  // Asks and waits for the answer; then what is said of the file, "" if here.
  std::string AskAndWait(DebuginfodClient& client, const BuildId& id) {
    EXPECT_EQ(client.Find(id, "module").status().message(),
              "debuginfod: asked, not here yet");
    EXPECT_EQ(answers_.Next().build_id, id);
    return client.Find(id, "").status().message();
  }

  TempFolder folder_;
  FakeClock clock_;
  Answers answers_;
};

TEST_F(DebuginfodClientTest, FetchesAFileAndTellsWhoAsked) {
  FakeFileServer server(
      [](const std::string&) { return Reply{200, DebugFile()}; });
  auto client = Start(Options(server));
  uint64_t found = GlobalCounters().Get(Counter::debuginfod_found);
  EXPECT_FALSE(client->Find(KnownId(), "module").ok());
  Answer answer = answers_.Next();
  EXPECT_EQ(answer.build_id, KnownId());
  EXPECT_THAT(answer.askers, ElementsAre("module"));
  EXPECT_TRUE(answer.is_here);
  auto file = client->Find(KnownId(), "another");
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(ReadWhole(file->real_path), DebugFile());
  EXPECT_EQ(fcntl(file->fd.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_THAT(server.paths(), ElementsAre(PathFor(KnownId())));
  EXPECT_EQ(GlobalCounters().Get(Counter::debuginfod_found), found + 1);
}

TEST_F(DebuginfodClientTest, FilesOutliveARestart) {
  FakeFileServer server(
      [](const std::string&) { return Reply{200, DebugFile()}; });
  auto client = Start(Options(server));
  EXPECT_EQ(AskAndWait(*client, KnownId()), "");
  client = nullptr;
  client = Start(Options(server));
  EXPECT_TRUE(client->Find(KnownId(), "module").ok());
  EXPECT_EQ(server.paths().size(), 1u);
}

TEST_F(DebuginfodClientTest, LeavesNothingButFilesBehind) {
  FakeFileServer server(
      [](const std::string&) { return Reply{200, DebugFile()}; });
  auto client = Start(Options(server));
  EXPECT_EQ(AskAndWait(*client, KnownId()), "");
  client = nullptr;
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(folder_ / "store")) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names, ElementsAre(KnownId().Hex() + ".debug"));
}

TEST_F(DebuginfodClientTest, MissingFileIsAskedAgainOnlyInTime) {
  std::atomic<bool> is_there = false;
  FakeFileServer server([&](const std::string&) {
    return is_there ? Reply{200, DebugFile()} : Reply{404, "none"};
  });
  auto options = Options(server);
  options.retry = seconds(3600);
  auto client = Start(options);
  EXPECT_EQ(AskAndWait(*client, KnownId()),
            "debuginfod: no server has it (asked 0 s ago)");
  is_there = true;
  clock_.Advance(std::chrono::nanoseconds(seconds(1800)).count());
  EXPECT_EQ(client->Find(KnownId(), "module").status().message(),
            "debuginfod: no server has it (asked 30 min ago)");
  EXPECT_EQ(server.paths().size(), 1u);
  clock_.Advance(std::chrono::nanoseconds(seconds(1800)).count());
  EXPECT_EQ(AskAndWait(*client, KnownId()), "");
  EXPECT_EQ(server.paths().size(), 2u);
}

TEST_F(DebuginfodClientTest, WithoutAnAskerNothingIsAsked) {
  FakeFileServer server([](const std::string&) { return Reply{404, ""}; });
  auto client = Start(Options(server));
  EXPECT_EQ(client->Find(KnownId(), "").status().message(),
            "debuginfod: not asked");
  EXPECT_FALSE(client->Find(BuildId("x"), "module").ok());
  client = nullptr;
  EXPECT_THAT(server.paths(), IsEmpty());
}

TEST_F(DebuginfodClientTest, RefusesAFileThatSaysItIsTooLarge) {
  FakeFileServer server(
      [](const std::string&) { return Reply{200, std::string(1 << 20, 'x')}; });
  auto options = Options(server);
  options.max_file_bytes = 100'000;
  auto client = Start(options);
  EXPECT_THAT(AskAndWait(*client, KnownId()),
              HasSubstr("larger than 100000 bytes"));
}

TEST_F(DebuginfodClientTest, RefusesAFileThatGrowsTooLarge) {
  FakeFileServer server([](const std::string&) {
    return Reply{.body = std::string(1 << 20, 'x'), .tells_size = false};
  });
  auto options = Options(server);
  options.max_cache_bytes = 100'000;
  auto client = Start(options);
  EXPECT_THAT(AskAndWait(*client, KnownId()),
              HasSubstr("larger than 100000 bytes"));
}

TEST_F(DebuginfodClientTest, RefusesAFileThatIsTooLargeWhenDecompressed) {
  std::string packed;
  {
    std::string zeros(1 << 20, '\0');
    std::string path = folder_ / "zeros";
    WriteWhole(path, zeros);
    ASSERT_EQ(system(("gzip -9 " + path).c_str()), 0);
    packed = ReadWhole(path + ".gz");
  }
  ASSERT_LT(packed.size(), 10'000u);
  FakeFileServer server([&](const std::string&) {
    return Reply{.body = packed, .headers = "Content-Encoding: gzip\r\n"};
  });
  auto options = Options(server);
  options.max_file_bytes = 100'000;
  auto client = Start(options);
  EXPECT_THAT(AskAndWait(*client, KnownId()),
              HasSubstr("larger than 100000 bytes"));
}

TEST_F(DebuginfodClientTest, RefusesFilesThatWereNotAskedFor) {
  std::string other = ReadWhole(std::string(PPROFD_KNOWN_CODE) + ".dwarf4");
  FakeFileServer server([&](const std::string& path) {
    return Reply{200, path == PathFor(KnownId()) ? other : "<html>"};
  });
  auto client = Start(Options(server));
  EXPECT_THAT(AskAndWait(*client, KnownId()), HasSubstr("other build ID"));
  EXPECT_THAT(AskAndWait(*client, Id('x')), HasSubstr("not an ELF file"));
  client = nullptr;
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "store"));
}

TEST_F(DebuginfodClientTest, GivesUpWhenAServerStalls) {
  FakeFileServer server([](const std::string&) {
    return Reply{.body = DebugFile(), .stalls = true};
  });
  auto options = Options(server);
  options.timeout = std::chrono::milliseconds(500);
  auto client = Start(options);
  uint64_t failed = GlobalCounters().Get(Counter::debuginfod_failed);
  EXPECT_EQ(AskAndWait(*client, KnownId()),
            "debuginfod: download failed: not done within 500 ms (0 s ago)");
  EXPECT_EQ(GlobalCounters().Get(Counter::debuginfod_failed), failed + 1);
}

TEST_F(DebuginfodClientTest, EndsInTheMidstOfADownload) {
  std::promise<void> asked;
  FakeFileServer server([&](const std::string&) {
    asked.set_value();
    return Reply{.body = DebugFile(), .stalls = true};
  });
  auto options = Options(server);
  options.timeout = std::chrono::hours(1);
  auto client = Start(options);
  EXPECT_FALSE(client->Find(KnownId(), "module").ok());
  ASSERT_EQ(asked.get_future().wait_for(kLongEnough),
            std::future_status::ready);
  auto start = std::chrono::steady_clock::now();
  client = nullptr;
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(5));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "store"));
}

TEST_F(DebuginfodClientTest, NewestFirstAndTheOldestIsDropped) {
  std::promise<void> asked;
  std::promise<void> go;
  FakeFileServer server([&, is_first = true](const std::string&) mutable {
    if (std::exchange(is_first, false)) {
      asked.set_value();
      go.get_future().wait();
    }
    return Reply{404, ""};
  });
  auto options = Options(server);
  options.max_queued = 2;
  auto client = Start(options);
  uint64_t dropped = GlobalCounters().Get(Counter::debuginfod_dropped);
  EXPECT_FALSE(client->Find(Id('a'), "module").ok());
  ASSERT_EQ(asked.get_future().wait_for(kLongEnough),
            std::future_status::ready);
  EXPECT_THAT(client->Describe(Id('a')), HasSubstr("being fetched"));
  for (char id : {'b', 'c', 'd'}) {
    EXPECT_FALSE(client->Find(Id(id), "module").ok());
  }
  EXPECT_EQ(client->Describe(Id('b')), "debuginfod: not asked");
  EXPECT_FALSE(client->Find(Id('c'), "another").ok());
  go.set_value();
  EXPECT_EQ(answers_.Next().build_id, Id('a'));
  Answer answer = answers_.Next();
  EXPECT_EQ(answer.build_id, Id('c'));
  EXPECT_THAT(answer.askers, ElementsAre("module", "another"));
  EXPECT_EQ(answers_.Next().build_id, Id('d'));
  EXPECT_EQ(GlobalCounters().Get(Counter::debuginfod_dropped), dropped + 1);
}

TEST_F(DebuginfodClientTest, WithoutItsProgramDownloadsFail) {
  FakeFileServer server([](const std::string&) { return Reply{404, ""}; });
  auto options = Options(server);
  options.program = folder_ / "none";
  auto client = Start(options);
  EXPECT_THAT(AskAndWait(*client, KnownId()),
              HasSubstr("download failed: " + (folder_ / "none")));
}

TEST_F(DebuginfodClientTest, ServerThatRefusesIsNoServerWithoutTheFile) {
  auto options = [&] {
    FakeFileServer gone([](const std::string&) { return Reply{}; });
    return Options(gone);
  }();
  auto client = Start(options);
  EXPECT_THAT(AskAndWait(*client, KnownId()), HasSubstr("download failed"));
}

TEST(DebuginfodServers, AreThoseOfTheEnvironmentWhenToldSo) {
  unsetenv("DEBUGINFOD_URLS");
  EXPECT_THAT(DebuginfodServers({}), IsEmpty());
  EXPECT_THAT(DebuginfodServers({"env"}), IsEmpty());
  setenv("DEBUGINFOD_URLS", " https://a/ file:///etc ima:enforcing\thttp://b",
         1);
  EXPECT_THAT(DebuginfodServers({"env"}),
              ElementsAre("https://a/", "ima:enforcing", "http://b"));
  EXPECT_THAT(DebuginfodServers({}), IsEmpty());
  EXPECT_THAT(DebuginfodServers({"http://c"}), ElementsAre("http://c"));
  setenv("DEBUGINFOD_URLS", "ima:enforcing file:///etc", 1);
  EXPECT_THAT(DebuginfodServers({"env"}), IsEmpty());
  unsetenv("DEBUGINFOD_URLS");
}

}  // namespace
}  // namespace pprofd
