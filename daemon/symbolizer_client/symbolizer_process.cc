#include "daemon/symbolizer_client/symbolizer_process.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "daemon/base/telemetry.h"
#include "daemon/base/urgency.h"
#include "symbolizer/service/process_contract.h"
#include "symbolizer/service/wire.h"

namespace pprofd {
namespace {

constexpr char kName[] = "pprofd-symbolizer";

SymbolizerProcess::Deadline Now() { return std::chrono::steady_clock::now(); }

uint32_t MillisecondsUntil(SymbolizerProcess::Deadline deadline) {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Now());
  return static_cast<uint32_t>(std::clamp<int64_t>(
      left.count(), 0, std::numeric_limits<int32_t>::max()));
}

std::string PathBesideUs() {
  std::array<char, PATH_MAX> text;
  ssize_t size = readlink("/proc/self/exe", text.data(), text.size());
  if (size <= 0) return kName;
  std::string path(text.data(), static_cast<size_t>(size));
  return path.substr(0, path.rfind('/') + 1) + kName;
}

}  // namespace

Status SymbolizerProcess::Start() {
  std::string path =
      options_.program.empty() ? PathBesideUs() : options_.program;
  UniqueFd program(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!program) {
    return Status::FromErrno(errno, path)
        .WithContext("the symbolizer belongs beside pprofd");
  }
  // Out of the way of those that the child is to have.
  program_.Reset(fcntl(program.get(), F_DUPFD_CLOEXEC, kSymbolizerSocket + 1));
  if (!program_) return Status::FromErrno(errno, path);
  return Spawn();
}

Result<wire::Reply> SymbolizerProcess::Run(Call call, Deadline deadline) {
  if (!gate_.Enter(deadline)) {
    Count(Counter::symbolizer_requests_crowded_out);
    return Status(StatusCode::kTimeout, "the symbolizer is busy");
  }
  Result<wire::Reply> reply = RunAlone(call, deadline);
  gate_.Leave();
  return reply;
}

Result<wire::Reply> SymbolizerProcess::RunAlone(Call& call, Deadline deadline) {
  RETURN_IF_ERROR(Refusal(call.subject));
  RETURN_IF_ERROR(FinishLast(deadline));
  call.request.set_id(++ids_);
  call.request.set_time_ms(MillisecondsUntil(deadline));
  // One that died while nobody asked is nobody's loss.
  Status sent = child_ ? SendRequest(call, deadline)
                       : Status(StatusCode::kGone, "none is running");
  if (sent.code() == StatusCode::kGone) {
    if (child_) Count(Counter::symbolizer_deaths);
    RETURN_IF_ERROR(Spawn());
    sent = SendRequest(call, deadline);
  }
  if (!sent.ok()) return Lose(sent, call.subject);
  Deadline started = Now();
  std::chrono::nanoseconds cpu_limit = child_.CpuTime() + kMaxCpuTime;
  Result<wire::Reply> reply =
      Converse(call.request.id(), call.answerer, deadline + kPatience);
  if (reply.ok()) {
    strikes_.erase(call.subject);
    if (reply->has_failure()) return FromWire(reply->failure());
    return reply;
  }
  if (reply.status().code() == StatusCode::kTimeout && call.can_outlive) {
    Count(Counter::symbolizer_requests_late);
    unfinished_ = Unfinished{.id = call.request.id(),
                             .subject = std::move(call.subject),
                             .answerer = std::move(call.answerer),
                             .kill_at = started + kHangTime,
                             .cpu_limit = cpu_limit};
    return Status(StatusCode::kTimeout, "time was up");
  }
  return Lose(reply.status(), call.subject);
}

Status SymbolizerProcess::Spawn() {
  unfinished_.reset();
  child_ = ChildProcess();
  pid_ = 0;
  auto started = ChildProcess::Start(program_.get(), kName, options_.role,
                                     kSymbolizerSocket);
  if (!started.ok()) {
    return started.status().WithContext("starting the symbolizer");
  }
  child_ = std::move(started->first);
  channel_ = Channel(std::move(started->second));
  Count(Counter::symbolizer_starts);
  if (options_.is_urgent) MakeUrgent(child_.pid());
  if (Status status = Greet(); !status.ok()) {
    ChildProcess::End end = child_.Kill();
    return Status(StatusCode::kDenied, "the symbolizer does not start: " +
                                           status.message() + ", " + end.text);
  }
  pid_ = child_.pid();
  return Status::Ok();
}

Status SymbolizerProcess::Greet() {
  wire::Request request;
  request.set_id(++ids_);
  request.set_time_ms(MillisecondsUntil(Now() + kStartTime));
  wire::Start* start = request.mutable_start();
  start->set_max_cache_bytes(options_.max_cache_bytes);
  start->set_has_store(options_.has_store);
  for (const std::string& root : options_.debug_roots) {
    start->add_debug_roots(root);
  }
  Deadline deadline = Now() + kStartTime;
  RETURN_IF_ERROR(channel_.Send(request, {}, deadline));
  ASSIGN_OR_RETURN(wire::Reply reply, Converse(request.id(), {}, deadline));
  if (reply.hello().build() != PPROFD_BUILD) {
    return Status(StatusCode::kInvalid,
                  "it is of another build than pprofd; install both together");
  }
  landlock_abi_ = reply.hello().landlock_abi();
  return Status::Ok();
}

bool SymbolizerProcess::Hangs(const Unfinished& unfinished) const {
  return Now() >= unfinished.kill_at || child_.CpuTime() > unfinished.cpu_limit;
}

// Waits for what a caller before has not waited for.
Status SymbolizerProcess::FinishLast(Deadline deadline) {
  while (unfinished_) {
    Result<wire::Reply> reply =
        Converse(unfinished_->id, unfinished_->answerer,
                 std::min(deadline, Now() + kCheckInterval));
    if (reply.ok()) {
      unfinished_.reset();
      return Status::Ok();
    }
    bool is_timeout = reply.status().code() == StatusCode::kTimeout;
    if (!is_timeout || Hangs(*unfinished_)) {
      std::string subject = unfinished_->subject;
      // Its loss is that call's, not this one's.
      Status ignored = Lose(reply.status(), subject);
    } else if (Now() >= deadline) {
      return Status(StatusCode::kTimeout, "the symbolizer is busy");
    }
  }
  return Status::Ok();
}

Status SymbolizerProcess::SendRequest(const Call& call, Deadline deadline) {
  if (call.file < 0) return channel_.Send(call.request, {}, deadline);
  return channel_.Send(call.request, {&call.file, 1}, deadline);
}

Result<wire::Reply> SymbolizerProcess::Converse(uint64_t id,
                                                const Answerer& answerer,
                                                Deadline deadline) {
  while (true) {
    wire::Reply reply;
    RETURN_IF_ERROR(channel_.Receive(&reply, nullptr, deadline));
    if (reply.id() != id) {
      return Status(StatusCode::kCorrupt, "an answer to another request");
    }
    if (reply.has_question()) {
      RETURN_IF_ERROR(AnswerQuestion(id, reply.question(), answerer, deadline));
      continue;
    }
    cache_bytes_ = reply.cache_bytes();
    has_unsaved_ = reply.has_unsaved();
    return reply;
  }
}

Status SymbolizerProcess::AnswerQuestion(uint64_t id,
                                         const wire::Question& question,
                                         const Answerer& answerer,
                                         Deadline deadline) {
  Answer answer = answerer ? answerer(question) : Answer{};
  wire::Request request;
  request.set_id(id);
  *request.mutable_answer() = std::move(answer.text);
  // An answer is small: only a symbolizer that does not read makes this wait.
  deadline = std::max(deadline, Now() + std::chrono::seconds(1));
  if (!answer.file) return channel_.Send(request, {}, deadline);
  int file = answer.file.get();
  return channel_.Send(request, {&file, 1}, deadline);
}

Status SymbolizerProcess::Refusal(const std::string& subject) {
  auto known = strikes_.find(subject);
  if (known == strikes_.end() || known->second.count < kMaxStrikes) {
    return Status::Ok();
  }
  if (Now() - known->second.last > kStrikeTime) {
    strikes_.erase(known);
    return Status::Ok();
  }
  return Status(StatusCode::kUnsupported,
                "not read: it has cost the symbolizer its life " +
                    std::to_string(known->second.count) + " times (" +
                    known->second.cause + ")");
}

Status SymbolizerProcess::Lose(const Status& why, const std::string& subject) {
  unfinished_.reset();
  channel_.Close();
  pid_ = 0;
  cache_bytes_ = 0;
  has_unsaved_ = false;
  ChildProcess::End end = child_.Kill();
  if (why.code() == StatusCode::kTimeout) {
    Count(Counter::symbolizer_hangs);
    Strike(subject, "it hung");
    return Status(StatusCode::kTimeout, "the symbolizer hung and was killed");
  }
  Count(Counter::symbolizer_deaths);
  if (end.exit_code == kExitOutOfMemory) {
    Strike(subject, "it ran out of memory");
    return Status(StatusCode::kExhausted, "the symbolizer ran out of memory");
  }
  bool has_left = why.code() == StatusCode::kGone;
  std::string cause = has_left ? end.text : why.message();
  Strike(subject, cause);
  return Status(StatusCode::kGone, "the symbolizer was lost: " + cause);
}

void SymbolizerProcess::Strike(const std::string& subject,
                               const std::string& cause) {
  if (subject.empty()) return;
  if (strikes_.size() >= kMaxSubjects) strikes_.clear();
  Strikes& strikes = strikes_[subject];
  ++strikes.count;
  strikes.last = Now();
  strikes.cause = cause;
}

}  // namespace pprofd
