#include "daemon/record_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "daemon/server/fake_profile_service.h"

namespace pprofd {
namespace {

using testing::HasSubstr;

class EmptyCapture : public Capture {};
class EmptyWatch : public HeapWatch {
 public:
  EmptyWatch() : HeapWatch(false) {}
};

// Profiles whoever it is asked for.
class AnyProcessService : public FakeProfileService {
 public:
  Result<std::unique_ptr<Capture>> StartCapture(
      const CaptureRequest& request) override {
    captured = request;
    return std::unique_ptr<Capture>(std::make_unique<EmptyCapture>());
  }
  Result<EncodedProfile> FinishCapture(std::unique_ptr<Capture>,
                                       const RenderOptions&) override {
    return EncodedProfile{"cpu profile", true};
  }
  Result<std::unique_ptr<HeapWatch>> WatchHeap(
      const HeapRequest& request) override {
    watched = request.pid;
    if (!heap_status.ok()) return heap_status;
    return std::unique_ptr<HeapWatch>(std::make_unique<EmptyWatch>());
  }
  Result<EncodedProfile> RenderHeap(const HeapWatch&, const HeapView&,
                                    const RenderOptions&) override {
    return EncodedProfile{"heap profile", true};
  }

  CaptureRequest captured;
  int32_t watched = 0;
  Status heap_status;
};

class RecordCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "recordXXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::ofstream(Path("lib.so")) << "a file";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const {
    return (folder_ / name).string();
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(Path(name));
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  RecordRequest Request(const std::string& script) const {
    return {.command = {"/bin/sh", "-c", script},
            .cpu_file = Path("cpu"),
            .heap_file = "",
            .hz = 99,
            .preload_libraries = {Path("absent.so"), Path("lib.so")}};
  }
  Result<int> Run(RecordRequest request) {
    Result<RecordCommand> command = RecordCommand::Start(std::move(request));
    if (!command.ok()) return command.status();
    return command->Run(service_);
  }

  std::filesystem::path folder_;
  AnyProcessService service_;
};

TEST_F(RecordCommandTest, TheProgramsExitStatusIsIts) {
  Result<int> status = Run(Request("exit 3"));
  ASSERT_TRUE(status.ok()) << status.status().message();
  EXPECT_EQ(*status, 3);
  EXPECT_EQ(Read("cpu"), "cpu profile");
}

TEST_F(RecordCommandTest, ASignalIsToldAsShellsDo) {
  Result<int> status = Run(Request("kill -9 $$"));
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(*status, 128 + 9);
}

TEST_F(RecordCommandTest, SamplesTheProcessThatBecomesTheProgram) {
  RecordRequest request = Request("echo $$ > " + Path("pid"));
  request.heap_file = Path("heap");
  ASSERT_TRUE(Run(std::move(request)).ok());
  EXPECT_EQ(std::to_string(service_.captured.pid) + "\n", Read("pid"));
  EXPECT_EQ(service_.watched, service_.captured.pid);
}

TEST_F(RecordCommandTest, TheProgramBeginsOnlyWhenItIsSampled) {
  Result<RecordCommand> command =
      RecordCommand::Start(Request("echo begun > " + Path("begun")));
  ASSERT_TRUE(command.ok());
  EXPECT_FALSE(std::filesystem::exists(Path("begun")));
  ASSERT_TRUE(command->Run(service_).ok());
  EXPECT_TRUE(std::filesystem::exists(Path("begun")));
}

TEST_F(RecordCommandTest, TheLibraryGoesInFrontOfOthers) {
  RecordRequest request =
      Request("/bin/echo \"$LD_PRELOAD\" > " + Path("preload") + " 2>&1");
  request.cpu_file.clear();
  request.heap_file = Path("heap");
  setenv("LD_PRELOAD", Path("other.so").c_str(), 1);
  Result<int> status = Run(std::move(request));
  unsetenv("LD_PRELOAD");
  ASSERT_TRUE(status.ok()) << status.status().message();
  // The dynamic linker has its say first: neither is a library.
  EXPECT_THAT(Read("preload"),
              HasSubstr(Path("lib.so") + ":" + Path("other.so") + "\n"));
  EXPECT_EQ(Read("heap"), "heap profile");
  EXPECT_FALSE(std::filesystem::exists(Path("cpu")));
}

TEST_F(RecordCommandTest, WithoutMemoryNothingIsLoadedIntoTheProgram) {
  ASSERT_TRUE(Run(Request("echo \"[$LD_PRELOAD]\" > " + Path("preload"))).ok());
  EXPECT_EQ(Read("preload"), "[]\n");
}

TEST_F(RecordCommandTest, AProgramThatIsNotThereIsSaid) {
  RecordRequest request = Request("");
  request.command = {"/no/such/program"};
  Result<int> status = Run(std::move(request));
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.status().message(), HasSubstr("/no/such/program"));
  EXPECT_FALSE(std::filesystem::exists(Path("cpu")));
}

TEST_F(RecordCommandTest, RefusesWhatCannotBe) {
  RecordRequest request = Request("");
  request.command.clear();
  EXPECT_EQ(RecordCommand::Start(request).status().code(),
            StatusCode::kInvalid);
  request = Request("true");
  request.heap_file = Path("heap");
  request.preload_libraries = {Path("absent.so")};
  Status status = RecordCommand::Start(request).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("absent.so"));
  std::ofstream(Path("a b.so")) << "a file";
  request.preload_libraries = {Path("a b.so")};
  EXPECT_EQ(RecordCommand::Start(request).status().code(),
            StatusCode::kInvalid);
}

TEST_F(RecordCommandTest, AProgramThatNeverBeganIsGone) {
  {
    Result<RecordCommand> command = RecordCommand::Start(Request("exit 0"));
    ASSERT_TRUE(command.ok());
  }
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(RecordCommandTest, AProgramThatWasNeverSampledIsSaid) {
  RecordRequest request = Request("true");
  request.heap_file = Path("heap");
  service_.heap_status = Status(StatusCode::kNotFound, "no such process");
  Result<int> status = Run(std::move(request));
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.status().message(), HasSubstr("was sampled"));
  // What there is, is kept.
  EXPECT_EQ(Read("cpu"), "cpu profile");
}

}  // namespace
}  // namespace pprofd
