// chunks CPU MICROSECONDS FRAMES: does the same work over and over on one CPU
// and prints of each chunk of it: when it began (CLOCK_MONOTONIC), how long it
// took, both in ns, and how often it was switched out.
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "tests/bench/recursion.h"

namespace {

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<uint64_t>(now.tv_nsec);
}

long Switches() {
  rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw + usage.ru_nvcsw;
}

// The fastest of many tries: rounds of Spin() that take `target_ns`.
uint64_t Calibrate(int frames, uint64_t target_ns) {
  constexpr uint64_t kRounds = 200'000;
  uint64_t best_ns = ~uint64_t{0};
  for (int i = 0; i < 200; ++i) {
    uint64_t start_ns = NowNs();
    bench::Small(frames, kRounds);
    uint64_t took_ns = NowNs() - start_ns;
    if (took_ns < best_ns) best_ns = took_ns;
  }
  return target_ns * kRounds / (best_ns ? best_ns : 1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<size_t>(std::atoi(argv[1])), &cpus);
  if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0) return 1;
  uint64_t target_ns = std::strtoull(argv[2], nullptr, 10) * 1'000;
  int frames = std::atoi(argv[3]);
  uint64_t rounds = Calibrate(frames, target_ns);
  std::printf("ready %d\n", static_cast<int>(getpid()));
  std::fflush(stdout);
  for (;;) {
    long switches = Switches();
    uint64_t start_ns = NowNs();
    bench::Small(frames, rounds);
    uint64_t took_ns = NowNs() - start_ns;
    std::printf("%" PRIu64 " %" PRIu64 " %ld\n", start_ns, took_ns,
                Switches() - switches);
    std::fflush(stdout);
  }
}
