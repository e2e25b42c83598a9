// churn SECONDS: two threads map and unmap without pause, beside one that
// spins in churn_leaf <- churn_spin. Prints "ready PID".
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "spin.h"

extern "C" TARGET_FRAME void churn_leaf(uint64_t rounds) {
  TARGET_SPIN(rounds);
}

extern "C" TARGET_FRAME void churn_spin() {
  while (target_stopping == 0) churn_leaf(100'000);
}

// Splits, merges and removes mappings, so that the tree of mappings changes
// shape under whoever walks it.
extern "C" TARGET_FRAME void churn_map() {
  constexpr size_t kPage = 4096;
  constexpr size_t kPages = 32;
  while (target_stopping == 0) {
    char* region =
        static_cast<char*>(mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (region == MAP_FAILED) continue;
    for (size_t page = 0; page < kPages; page += 2) {
      mprotect(region + page * kPage, kPage, PROT_READ);
    }
    munmap(region, kPages * kPage);
  }
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  target_stop_on_sigterm();
  std::vector<std::thread> threads;
  threads.emplace_back(churn_map);
  threads.emplace_back(churn_map);
  threads.emplace_back(churn_spin);
  std::printf("ready %d\n", getpid());
  std::fflush(stdout);
  const uint64_t until = target_clock_ns(CLOCK_MONOTONIC) +
                         std::strtoull(argv[1], nullptr, 10) * 1'000'000'000u;
  while (target_stopping == 0 && target_clock_ns(CLOCK_MONOTONIC) < until) {
    usleep(20'000);
  }
  target_stopping = 1;
  for (std::thread& thread : threads) thread.join();
  return 0;
}
