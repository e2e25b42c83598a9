#include "daemon/debuginfod/debuginfod_client.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>

#include "daemon/base/own_files.h"
#include "daemon/base/telemetry.h"

namespace pprofd {
namespace {

// What servers take for a build ID; shorter ones are of no toolchain.
constexpr size_t kMinBuildIdBytes = 4;
constexpr size_t kMaxBuildIdBytes = 64;

std::string Age(BootTime since, BootTime now) {
  int64_t seconds = (now.ns - since.ns) / 1'000'000'000;
  if (seconds < 120) return fmt::format("{} s", seconds);
  return seconds < 7200 ? fmt::format("{} min", seconds / 60)
                        : fmt::format("{} h", seconds / 3600);
}

Status NotHere(std::string message) {
  return Status(StatusCode::kNotFound, std::move(message));
}

}  // namespace

std::vector<std::string> DebuginfodServers(
    const std::vector<std::string>& setting) {
  if (setting != std::vector<std::string>{"env"}) return setting;
  const char* servers = getenv("DEBUGINFOD_URLS");
  std::istringstream words(servers == nullptr ? "" : servers);
  std::vector<std::string> urls;
  bool has_server = false;
  for (std::string word; words >> word;) {
    bool is_server =
        word.starts_with("http://") || word.starts_with("https://");
    if (is_server || word.starts_with("ima:")) urls.push_back(word);
    has_server = has_server || is_server;
  }
  return has_server ? urls : std::vector<std::string>();
}

std::string DebuginfodProgram() { return BesideProgram("pprofd-debuginfod"); }

Result<std::unique_ptr<DebuginfodClient>> DebuginfodClient::Create(
    Options options, const Clock& clock, OnAnswer on_answer) {
  ASSIGN_OR_RETURN(
      DebugFileStore store,
      DebugFileStore::Open(options.folder, options.max_cache_bytes));
  ASSIGN_OR_RETURN(
      Downloader downloader,
      Downloader::Create({.program = options.program,
                          .urls = options.urls,
                          .max_bytes = std::min(options.max_file_bytes,
                                                options.max_cache_bytes),
                          .timeout = options.timeout}));
  return std::unique_ptr<DebuginfodClient>(
      new DebuginfodClient(std::move(options), std::move(store),
                           std::move(downloader), clock, std::move(on_answer)));
}

DebuginfodClient::DebuginfodClient(Options options, DebugFileStore store,
                                   Downloader downloader, const Clock& clock,
                                   OnAnswer on_answer)
    : options_(std::move(options)),
      clock_(clock),
      on_answer_(std::move(on_answer)),
      downloader_(std::move(downloader)),
      store_(std::move(store)),
      thread_([this] { Work(); }) {
  pthread_setname_np(thread_.native_handle(), "debuginfod");
}

DebuginfodClient::~DebuginfodClient() {
  {
    std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  wake_.notify_all();
  downloader_.Cancel();
  thread_.join();
}

Result<FoundFile> DebuginfodClient::Find(const BuildId& build_id,
                                         const std::string& asker) {
  size_t size = build_id.bytes().size();
  if (size < kMinBuildIdBytes || size > kMaxBuildIdBytes) {
    return NotHere("debuginfod: no build ID that servers know");
  }
  std::lock_guard lock(mutex_);
  if (UniqueFd file = store_.Find(build_id)) {
    return FoundFile{.fd = std::move(file),
                     .real_path = store_.PathOf(build_id)};
  }
  if (!asker.empty()) Ask(build_id, asker);
  return NotHere(DescribeLocked(build_id));
}

std::string DebuginfodClient::Describe(const BuildId& build_id) const {
  std::lock_guard lock(mutex_);
  return DescribeLocked(build_id);
}

std::string DebuginfodClient::DescribeLocked(const BuildId& build_id) const {
  auto known = questions_.find(build_id);
  if (known == questions_.end()) return "debuginfod: not asked";
  const Question& question = known->second;
  std::string age = Age(question.since, clock_.Boot());
  switch (question.state) {
    case State::kQueued:
      return "debuginfod: asked, not here yet";
    case State::kRunning:
      return fmt::format("debuginfod: being fetched for {}", age);
    case State::kMissing:
      return fmt::format("debuginfod: no server has it (asked {} ago)", age);
    case State::kFailed:
      return fmt::format("debuginfod: download failed: {} ({} ago)",
                         question.problem, age);
  }
  return "";
}

bool DebuginfodClient::IsDue(const Question& question) const {
  auto age = std::chrono::nanoseconds(clock_.Boot().ns - question.since.ns);
  return age >= options_.retry;
}

void DebuginfodClient::Ask(const BuildId& build_id, const std::string& asker) {
  auto [known, is_new] = questions_.try_emplace(build_id);
  Question& question = known->second;
  bool is_answered =
      question.state == State::kMissing || question.state == State::kFailed;
  if (is_answered && !IsDue(question)) return;
  if (std::ranges::count(question.askers, asker) == 0 &&
      question.askers.size() < kMaxAskers) {
    question.askers.push_back(asker);
  }
  if (question.state == State::kRunning) return;
  question.state = State::kQueued;
  if (is_new || is_answered) {
    question.since = clock_.Boot();
  } else {
    std::erase(queue_, build_id);
  }
  queue_.push_back(build_id);
  if (queue_.size() > options_.max_queued) {
    questions_.erase(queue_.front());
    queue_.pop_front();
    Count(Counter::debuginfod_dropped);
  }
  wake_.notify_one();
}

void DebuginfodClient::Work() {
  std::string incoming = options_.folder + "/incoming";
  std::error_code ignored;
  std::filesystem::remove_all(incoming, ignored);
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return is_ending_ || !queue_.empty(); });
    if (is_ending_) return;
    BuildId build_id = std::move(queue_.back());
    queue_.pop_back();
    questions_[build_id].state = State::kRunning;
    questions_[build_id].since = clock_.Boot();
    lock.unlock();
    Count(Counter::debuginfod_requests);
    Answer(build_id, downloader_.Run(build_id, incoming));
    std::filesystem::remove_all(incoming, ignored);
    lock.lock();
  }
}

void DebuginfodClient::Answer(const BuildId& build_id, const Fetched& fetched) {
  std::vector<std::string> askers;
  Status problem = fetched.status();
  bool is_missing = fetched.ok() && !*fetched;
  bool is_here = fetched.ok() && *fetched;
  {
    std::lock_guard lock(mutex_);
    if (is_ending_) return;
    if (is_here) {
      Result<uint64_t> bytes = store_.Adopt(build_id, **fetched);
      problem = bytes.status();
      is_here = bytes.ok();
      if (is_here) Count(Counter::debuginfod_bytes, *bytes);
    }
    Question& question = questions_[build_id];
    askers = std::exchange(question.askers, {});
    question.since = clock_.Boot();
    question.problem = problem.message();
    question.state = is_missing ? State::kMissing : State::kFailed;
    if (is_here) questions_.erase(build_id);
    LimitAnswers();
  }
  Count(is_here      ? Counter::debuginfod_found
        : is_missing ? Counter::debuginfod_missing
                     : Counter::debuginfod_failed);
  if (!problem.ok()) {
    LOG_EVERY(std::chrono::seconds(60),
              spdlog::warn("debuginfod: build ID {}: {}", build_id.Hex(),
                           problem.message()));
  }
  on_answer_(build_id, askers, is_here);
}

// Those that say the same for the longest time go; the queue bounds the rest.
void DebuginfodClient::LimitAnswers() {
  if (questions_.size() <= kMaxAnswers + options_.max_queued) return;
  auto oldest = questions_.end();
  for (auto it = questions_.begin(); it != questions_.end(); ++it) {
    State state = it->second.state;
    if (state != State::kMissing && state != State::kFailed) continue;
    if (oldest == questions_.end() || it->second.since < oldest->second.since) {
      oldest = it;
    }
  }
  if (oldest != questions_.end()) questions_.erase(oldest);
}

}  // namespace pprofd
