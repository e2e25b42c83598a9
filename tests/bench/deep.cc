// deep FRAMES: spins for ever at that depth, in frames of its own.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "tests/bench/recursion.h"

namespace bench {

static BENCH_FRAME uint64_t Leaf(uint64_t rounds) {
  uint64_t state = rounds;
  for (uint64_t left = rounds; left != 0; --left) {
    state = state * UINT64_C(6364136223846793005) + left;
    __asm__ volatile("" : "+r"(state));
  }
  return state;
}

}  // namespace bench

int main(int argc, char** argv) {
  int frames = argc > 1 ? std::atoi(argv[1]) : 1;
  std::printf("ready %d\n", static_cast<int>(getpid()));
  std::fflush(stdout);
  // Small() counts itself; Leaf() is one more.
  for (;;) bench::Small(frames - 1, 2'000'000);
}
