// many_vmas COUNT SECONDS: splits one region into COUNT mappings, then spins in
// vma_leaf <- vma_spin <- main. Prints "ready PID".
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "spin.h"

extern "C" TARGET_FRAME void vma_leaf(uint64_t rounds) { TARGET_SPIN(rounds); }

extern "C" TARGET_FRAME void vma_spin(uint64_t until) {
  while (target_stopping == 0 && target_clock_ns(CLOCK_MONOTONIC) < until) {
    vma_leaf(1'000'000);
  }
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  target_stop_on_sigterm();
  constexpr size_t kPage = 4096;
  const size_t count = std::strtoull(argv[1], nullptr, 10);
  void* region = mmap(nullptr, count * kPage, PROT_READ,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) return 1;
  for (size_t page = 0; page < count; page += 2) {
    if (mprotect(static_cast<char*>(region) + page * kPage, kPage,
                 PROT_READ | PROT_WRITE) != 0) {
      return 1;
    }
  }
  std::printf("ready %d\n", getpid());
  std::fflush(stdout);
  vma_spin(target_clock_ns(CLOCK_MONOTONIC) +
           std::strtoull(argv[2], nullptr, 10) * 1'000'000'000u);
  return 0;
}
