#include "daemon/record_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

namespace pprofd {
namespace {

constexpr int kCannotRun = 127;  // as shells say it
constexpr int kSignalled = 128;

Status MakePipe(UniqueFd* read_end, UniqueFd* write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Status::FromErrno(errno, "pipe");
  read_end->Reset(ends[0]);
  write_end->Reset(ends[1]);
  return Status::Ok();
}

Result<std::string> FindLibrary(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (access(path.c_str(), R_OK) != 0) continue;
    if (path.find_first_of(" :") == std::string::npos) return path;
    return Status(StatusCode::kInvalid,
                  fmt::format("{}: LD_PRELOAD takes no path with a blank or a "
                              "colon",
                              path));
  }
  return Status(StatusCode::kNotFound, fmt::format("no libpprofd_heap.so at {}",
                                                   fmt::join(paths, " or ")));
}

Status WriteFile(const std::string& path, const std::string& body) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(path.c_str(), "we"),
                                             &fclose);
  if (!file) return Status::FromErrno(errno, path);
  bool is_whole =
      fwrite(body.data(), 1, body.size(), file.get()) == body.size() &&
      fflush(file.get()) == 0;
  if (!is_whole) return Status::FromErrno(errno, path);
  fprintf(stderr, "pprofd: written: %s\n", path.c_str());
  return Status::Ok();
}

// What a child does between fork and exec; nothing here allocates.
[[noreturn]] void RunProgram(char* const* arguments, int may_begin,
                             int exec_error) {
  char byte = 0;
  if (read(may_begin, &byte, 1) != 1) _exit(kCannotRun);
  execvp(arguments[0], arguments);
  int error = errno;
  ssize_t ignored = write(exec_error, &error, sizeof(error));
  static_cast<void>(ignored);
  _exit(kCannotRun);
}

// Ctrl-C is for the program; pprofd writes what there is when that has ended.
class IgnoredSignals {
 public:
  IgnoredSignals() {
    for (size_t i = 0; i < std::size(kSignals); ++i) {
      before_[i] = std::signal(kSignals[i], SIG_IGN);
    }
  }
  ~IgnoredSignals() {
    for (size_t i = 0; i < std::size(kSignals); ++i) {
      std::signal(kSignals[i], before_[i]);
    }
  }
  IgnoredSignals(const IgnoredSignals&) = delete;
  IgnoredSignals& operator=(const IgnoredSignals&) = delete;

 private:
  static constexpr int kSignals[] = {SIGINT, SIGQUIT};
  void (*before_[std::size(kSignals)])(int);
};

}  // namespace

RecordCommand::RecordCommand(RecordCommand&& other) noexcept
    : request_(std::move(other.request_)),
      pid_(std::exchange(other.pid_, 0)),
      may_begin_(std::move(other.may_begin_)),
      exec_error_(std::move(other.exec_error_)) {}

RecordCommand::~RecordCommand() {
  if (pid_ == 0) return;
  may_begin_.Reset();
  waitpid(pid_, nullptr, 0);
}

Result<RecordCommand> RecordCommand::Start(RecordRequest request) {
  if (request.command.empty()) {
    return Status(StatusCode::kInvalid, "record: no command behind \"--\"");
  }
  std::string library;
  if (!request.heap_file.empty()) {
    ASSIGN_OR_RETURN(library, FindLibrary(request.preload_libraries));
  }
  RecordCommand command(std::move(request));
  RETURN_IF_ERROR(command.Fork(library));
  return command;
}

Status RecordCommand::Fork(const std::string& library) {
  UniqueFd may_begin, error_end;
  RETURN_IF_ERROR(MakePipe(&may_begin, &may_begin_));
  RETURN_IF_ERROR(MakePipe(&exec_error_, &error_end));
  std::vector<char*> arguments;
  arguments.reserve(request_.command.size() + 1);
  for (std::string& word : request_.command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::string preload = library;
  const char* others = getenv("LD_PRELOAD");
  if (others != nullptr && *others != '\0') {
    preload += std::string(":") + others;
  }
  pid_ = fork();
  if (pid_ < 0) {
    pid_ = 0;
    return Status::FromErrno(errno, "fork");
  }
  if (pid_ > 0) return Status::Ok();
  may_begin_.Reset();
  if (!library.empty()) setenv("LD_PRELOAD", preload.c_str(), 1);
  RunProgram(arguments.data(), may_begin.get(), error_end.get());
}

// Returns when the program runs, or cannot.
Status RecordCommand::Release() {
  char byte = 1;
  if (write(may_begin_.get(), &byte, 1) != 1) {
    return Status::FromErrno(errno, request_.command[0]);
  }
  int error = 0;
  if (read(exec_error_.get(), &error, sizeof(error)) == sizeof(error)) {
    return Status::FromErrno(error, request_.command[0]);
  }
  return Status::Ok();
}

Result<int> RecordCommand::Run(ProfileService& service) {
  std::unique_ptr<Capture> capture;
  if (!request_.cpu_file.empty()) {
    ASSIGN_OR_RETURN(capture,
                     service.StartCapture({.pid = pid_, .hz = request_.hz}));
  }
  IgnoredSignals ignored;
  RETURN_IF_ERROR(Release());
  int status = 0;
  // Seen, but not taken: its number stays its own until all is written.
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) !=
             0 &&
         errno == EINTR) {
  }
  if (capture) RETURN_IF_ERROR(WriteCpu(service, std::move(capture)));
  if (!request_.heap_file.empty()) RETURN_IF_ERROR(WriteHeap(service));
  waitpid(std::exchange(pid_, 0), &status, 0);
  return WIFSIGNALED(status) ? kSignalled + WTERMSIG(status)
                             : WEXITSTATUS(status);
}

Status RecordCommand::WriteCpu(ProfileService& service,
                               std::unique_ptr<Capture> capture) {
  ASSIGN_OR_RETURN(EncodedProfile profile,
                   service.FinishCapture(std::move(capture), {}));
  return WriteFile(request_.cpu_file, profile.body);
}

Status RecordCommand::WriteHeap(ProfileService& service) const {
  Result<std::unique_ptr<HeapWatch>> watch =
      service.WatchHeap({.pid = pid_, .period_bytes = 0});
  if (watch.status().code() == StatusCode::kNotFound) {
    return Status(
        StatusCode::kNotFound,
        fmt::format("no allocation of {} was sampled: it asked for less than "
                    "PPROFD_HEAP_PERIOD, or does not load libpprofd_heap.so "
                    "(a static program, or one with more rights than you)",
                    request_.command[0]));
  }
  RETURN_IF_ERROR(watch.status());
  ASSIGN_OR_RETURN(EncodedProfile profile, service.RenderHeap(**watch, {}, {}));
  return WriteFile(request_.heap_file, profile.body);
}

}  // namespace pprofd
