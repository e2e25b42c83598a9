// spawner: starts one short-lived child after the other, as a shell does.
//
//   spawner HOW CHILD MS SECONDS     HOW = fork | vfork | posix_spawn
//
// CHILD is a short_child. Prints "ready PID"; on SIGTERM or after SECONDS one
// JSON line: per child its pid, when it lived (wall clock, ns), the CPU time of
// its burning function and of the whole of it (wait4).
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "spin.h"

extern char** environ;

struct ChildTruth {
  pid_t pid = 0;
  uint64_t start_ns = 0;
  uint64_t end_ns = 0;
  uint64_t burn_ns = 0;
  uint64_t cpu_ns = 0;
};

using Arguments = std::vector<char*>;

extern "C" TARGET_FRAME pid_t spawn_by_fork(const Arguments& arguments) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  execv(arguments[0], arguments.data());
  _exit(127);
}

extern "C" TARGET_FRAME pid_t spawn_by_vfork(const Arguments& arguments) {
  const pid_t pid = vfork();
  if (pid != 0) return pid;
  execv(arguments[0], arguments.data());
  _exit(127);
}

extern "C" TARGET_FRAME pid_t spawn_by_posix_spawn(const Arguments& arguments) {
  pid_t pid = -1;
  if (posix_spawn(&pid, arguments[0], nullptr, nullptr, arguments.data(),
                  environ) != 0) {
    return -1;
  }
  return pid;
}

using SpawnFunction = pid_t (*)(const Arguments& arguments);

SpawnFunction FindSpawnFunction(const std::string& how) {
  if (how == "fork") return spawn_by_fork;
  if (how == "vfork") return spawn_by_vfork;
  if (how == "posix_spawn") return spawn_by_posix_spawn;
  return nullptr;
}

uint64_t ToNs(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000u +
         static_cast<uint64_t>(time.tv_usec) * 1000u;
}

bool RunChild(SpawnFunction spawn, const Arguments& arguments, int truth_fd,
              std::vector<ChildTruth>& truths) {
  ChildTruth truth;
  truth.start_ns = target_clock_ns(CLOCK_REALTIME);
  truth.pid = spawn(arguments);
  if (truth.pid < 0) return false;
  int status = 0;
  rusage usage{};
  while (wait4(truth.pid, &status, 0, &usage) < 0) {
  }
  truth.end_ns = target_clock_ns(CLOCK_REALTIME);
  if (status != 0) return false;
  truth.cpu_ns = ToNs(usage.ru_utime) + ToNs(usage.ru_stime);
  if (read(truth_fd, &truth.burn_ns, sizeof(truth.burn_ns)) !=
      sizeof(truth.burn_ns)) {
    return false;
  }
  truths.push_back(truth);
  return true;
}

void PrintTruths(const std::vector<ChildTruth>& truths) {
  std::printf("{\"pid\":%d,\"children\":[", getpid());
  for (size_t i = 0; i < truths.size(); ++i) {
    const ChildTruth& truth = truths[i];
    std::printf(
        "%s{\"pid\":%d,\"start_ns\":%llu,\"end_ns\":%llu,\"burn_ns\":%llu,"
        "\"cpu_ns\":%llu}",
        i == 0 ? "" : ",", truth.pid,
        static_cast<unsigned long long>(truth.start_ns),
        static_cast<unsigned long long>(truth.end_ns),
        static_cast<unsigned long long>(truth.burn_ns),
        static_cast<unsigned long long>(truth.cpu_ns));
  }
  std::printf("]}\n");
}

int main(int argc, char** argv) {
  const SpawnFunction spawn = argc == 5 ? FindSpawnFunction(argv[1]) : nullptr;
  int pipe_fds[2];
  if (spawn == nullptr || pipe(pipe_fds) != 0) {
    std::fprintf(stderr, "usage: spawner HOW CHILD MS SECONDS\n");
    return 2;
  }
  target_stop_on_sigterm();
  std::string fd_text = std::to_string(pipe_fds[1]);
  const Arguments arguments{argv[2], argv[3], fd_text.data(), nullptr};
  std::vector<ChildTruth> truths;
  std::printf("ready %d\n", getpid());
  std::fflush(stdout);
  const uint64_t until = target_clock_ns(CLOCK_MONOTONIC) +
                         std::strtoull(argv[4], nullptr, 10) * 1'000'000'000u;
  while (target_stopping == 0 && target_clock_ns(CLOCK_MONOTONIC) < until) {
    if (!RunChild(spawn, arguments, pipe_fds[0], truths)) {
      std::fprintf(stderr, "spawner: a child failed\n");
      return 1;
    }
  }
  PrintTruths(truths);
  return 0;
}
