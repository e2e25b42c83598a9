/*
 * short_child MS FD: burns MS milliseconds of CPU in short_burn, writes the
 * nanoseconds it measured to descriptor FD as 8 bytes, and exits. Time in which
 * its CPU clock ran but it did not is not burnt: a host takes the CPU away from
 * its virtual machines unseen, for 10 ms and more, and no tick comes meanwhile.
 */
#include <stdlib.h>
#include <unistd.h>

#include "spin.h"

void short_leaf(uint64_t rounds);
uint64_t short_burn(uint64_t ns);

TARGET_FRAME void short_leaf(uint64_t rounds) { TARGET_SPIN(rounds); }

/* The nanoseconds of it in which it ran: rounds take some 20 us. */
TARGET_FRAME uint64_t short_burn(uint64_t ns) {
  const uint64_t longest_round = 1000000;
  uint64_t now = target_clock_ns(CLOCK_THREAD_CPUTIME_ID);
  const uint64_t until = now + ns;
  uint64_t burnt = 0;
  while (now < until) {
    const uint64_t start = now;
    short_leaf(20000);
    now = target_clock_ns(CLOCK_THREAD_CPUTIME_ID);
    if (now - start < longest_round) burnt += now - start;
  }
  return burnt;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const uint64_t burnt = short_burn(strtoull(argv[1], 0, 10) * 1000000);
  return write(atoi(argv[2]), &burnt, sizeof(burnt)) == sizeof(burnt) ? 0 : 1;
}
