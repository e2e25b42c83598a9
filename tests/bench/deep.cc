// deep FRAMES: spins for ever at that depth, in frames of its own.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "tests/bench/recursion.h"

int main(int argc, char** argv) {
  int frames = argc > 1 ? std::atoi(argv[1]) : 1;
  std::printf("ready %d\n", static_cast<int>(getpid()));
  std::fflush(stdout);
  // Small() counts itself; Spin() is one more.
  for (;;) bench::Small(frames - 1, 2'000'000);
}
