#include "daemon/debuginfod/downloader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "daemon/debuginfod/fetch_exit.h"

namespace pprofd {
namespace {

// How servers are reached and trusted.
constexpr std::array<const char*, 12> kPassedOn{"http_proxy",
                                                "https_proxy",
                                                "HTTPS_PROXY",
                                                "all_proxy",
                                                "ALL_PROXY",
                                                "no_proxy",
                                                "NO_PROXY",
                                                "SSL_CERT_FILE",
                                                "SSL_CERT_DIR",
                                                "RES_OPTIONS",
                                                "DEBUGINFOD_HEADERS_FILE",
                                                "DEBUGINFOD_IMA_CERT_PATH"};

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

Status MakeEmpty(const std::string& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (error) return Status::FromErrno(error.value(), folder);
  if (mkdir(folder.c_str(), 0700) != 0) {
    return Status::FromErrno(errno, folder);
  }
  return Status::Ok();
}

// What the program has printed, on one line.
std::string ReadMessage(int output) {
  std::array<char, 512> text;
  ssize_t size = read(output, text.data(), text.size());
  std::string message(text.data(), size > 0 ? static_cast<size_t>(size) : 0);
  message.resize(std::min(message.find('\n'), message.size()));
  std::replace_if(
      message.begin(), message.end(), [](char c) { return c < ' ' || c > '~'; },
      '?');
  return message;
}

// The descriptors and signals that the program starts with.
class SpawnSetup {
 public:
  SpawnSetup() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSetup() {
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  int Fill(int output) {
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawn_file_actions_addopen(&files, STDIN_FILENO,
                                                 "/dev/null", O_RDONLY, 0);
    if (error == 0) {
      error = posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    }
    if (error == 0) {
      error = posix_spawn_file_actions_addopen(&files, STDERR_FILENO,
                                               "/dev/null", O_WRONLY, 0);
    }
    return error;
  }

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
};

}  // namespace

Result<Downloader> Downloader::Create(Options options) {
  UniqueFd cancelled(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!cancelled) return Status::FromErrno(errno, "debuginfod: eventfd");
  return Downloader(std::move(options), std::move(cancelled));
}

void Downloader::Cancel() { eventfd_write(cancelled_.get(), 1); }

Result<std::optional<std::string>> Downloader::Run(const BuildId& build_id,
                                                   const std::string& folder) {
  RETURN_IF_ERROR(MakeEmpty(folder));
  std::array<int, 2> ends{-1, -1};
  if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    return Status::FromErrno(errno, "pipe");
  }
  UniqueFd output(ends[0]);
  UniqueFd input(ends[1]);
  ASSIGN_OR_RETURN(int pid, Start(build_id, folder, input.get()));
  End end = Wait(pid);
  if (end != End::kExited) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (end == End::kCancelled) {
    return Status(StatusCode::kGone, "pprofd is ending");
  }
  if (end == End::kTimeout) {
    return Status(StatusCode::kTimeout, fmt::format("not done within {} ms",
                                                    options_.timeout.count()));
  }
  return Outcome(status, output.get(), folder);
}

Result<std::optional<std::string>> Downloader::Outcome(
    int status, int output, const std::string& folder) const {
  auto exit =
      static_cast<FetchExit>(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  if (exit == FetchExit::kFound) {
    return std::optional(folder + "/" + kFetchedName);
  }
  if (exit == FetchExit::kMissing) return std::optional<std::string>();
  bool is_too_large = WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ;
  if (is_too_large || exit == FetchExit::kTooLarge) {
    return Status(StatusCode::kExhausted,
                  fmt::format("larger than {} bytes", options_.max_bytes));
  }
  if (exit == FetchExit::kFailed) {
    return Status(StatusCode::kIo, ReadMessage(output));
  }
  return Status(StatusCode::kIo,
                fmt::format("{} ended with {} {}", options_.program,
                            WIFSIGNALED(status) ? "signal" : "status",
                            WIFSIGNALED(status) ? WTERMSIG(status)
                                                : WEXITSTATUS(status)));
}

std::vector<std::string> Downloader::Environment(
    const std::string& folder) const {
  std::vector<std::string> variables{
      fmt::format("DEBUGINFOD_URLS={}", fmt::join(options_.urls, " ")),
      "DEBUGINFOD_CACHE_PATH=" + folder,
      fmt::format("DEBUGINFOD_MAXSIZE={}", options_.max_bytes),
      // After a file that could not be written, its own second try may end as
      // if no server had it.
      "DEBUGINFOD_RETRY_LIMIT=0"};
  for (const char* name : kPassedOn) {
    const char* value = getenv(name);
    if (value != nullptr)
      variables.push_back(fmt::format("{}={}", name, value));
  }
  return variables;
}

// Returns its pid.
Result<int> Downloader::Start(const BuildId& build_id,
                              const std::string& folder, int output) const {
  SpawnSetup setup;
  int error = setup.Fill(output);
  std::vector<std::string> arguments{options_.program, build_id.Hex(),
                                     std::to_string(options_.max_bytes),
                                     folder};
  std::vector<std::string> variables = Environment(folder);
  int pid = -1;
  if (error == 0) {
    error = posix_spawn(&pid, options_.program.c_str(), &setup.files,
                        &setup.attributes, Pointers(arguments).data(),
                        Pointers(variables).data());
  }
  if (error != 0) return Status::FromErrno(error, options_.program);
  return pid;
}

Downloader::End Downloader::Wait(int pid) const {
  auto deadline = std::chrono::steady_clock::now() + options_.timeout;
  UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return End::kTimeout;
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return End::kTimeout;
    std::array<pollfd, 2> files{
        {{process.get(), POLLIN, 0}, {cancelled_.get(), POLLIN, 0}}};
    if (poll(files.data(), files.size(), static_cast<int>(left.count())) < 0 &&
        errno != EINTR) {
      return End::kTimeout;
    }
    if ((files[1].revents & POLLIN) != 0) return End::kCancelled;
    if ((files[0].revents & POLLIN) != 0) return End::kExited;
  }
}

}  // namespace pprofd
