// chunks CPU MICROSECONDS FRAMES: does the same work over and over on one CPU
// and prints of each chunk of it: when it began (CLOCK_MONOTONIC) and how long
// it took, both in ns, how often it was switched out, and how much of that time
// was taken from it in pieces of 1 to 100 us: interrupts.
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>
#include <x86intrin.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "tests/bench/recursion.h"

namespace {

constexpr uint64_t kShortestGapNs = 1'000;
constexpr uint64_t kLongestGapNs = 100'000;

// In ticks of the time stamp counter.
uint64_t shortest_gap, longest_gap, gap_ticks;

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

double TicksPerNs() {
  uint64_t start_ns = NowNs(), start = __rdtsc();
  while (NowNs() - start_ns < 200'000'000) {
  }
  return static_cast<double>(__rdtsc() - start) /
         static_cast<double>(NowNs() - start_ns);
}

// The fastest of many tries: rounds that take `target_ns`.
uint64_t Calibrate(int frames, uint64_t target_ns) {
  constexpr uint64_t kRounds = 20'000;
  uint64_t best_ns = ~uint64_t{0};
  for (int i = 0; i < 400; ++i) {
    uint64_t start_ns = NowNs();
    bench::Small(frames, kRounds);
    uint64_t took_ns = NowNs() - start_ns;
    if (took_ns < best_ns) best_ns = took_ns;
  }
  return target_ns * kRounds / (best_ns ? best_ns : 1);
}

}  // namespace

namespace bench {

// Works, and watches the clock.
static BENCH_FRAME uint64_t Leaf(uint64_t rounds) {
  uint64_t state = rounds, last = __rdtsc();
  for (uint64_t left = rounds; left != 0; --left) {
    state = state * UINT64_C(6364136223846793005) + left;
    __asm__ volatile("" : "+r"(state));
    uint64_t now = __rdtsc(), gap = now - last;
    if (gap >= shortest_gap && gap <= longest_gap) gap_ticks += gap;
    last = now;
  }
  return state;
}

}  // namespace bench

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<size_t>(std::atoi(argv[1])), &cpus);
  if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0) return 1;
  uint64_t target_ns = std::strtoull(argv[2], nullptr, 10) * 1'000;
  int frames = std::atoi(argv[3]);
  double ticks_per_ns = TicksPerNs();
  shortest_gap = static_cast<uint64_t>(kShortestGapNs * ticks_per_ns);
  longest_gap = static_cast<uint64_t>(kLongestGapNs * ticks_per_ns);
  uint64_t rounds = Calibrate(frames, target_ns);
  std::printf("ready %d\n", static_cast<int>(getpid()));
  std::fflush(stdout);
  for (;;) {
    long switches = Switches();
    gap_ticks = 0;
    uint64_t start_ns = NowNs();
    bench::Small(frames, rounds);
    uint64_t took_ns = NowNs() - start_ns;
    std::printf("%" PRIu64 " %" PRIu64 " %ld %.0f\n", start_ns, took_ns,
                Switches() - switches,
                static_cast<double>(gap_ticks) / ticks_per_ns);
    std::fflush(stdout);
  }
}
