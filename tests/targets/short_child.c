/*
 * short_child MS FD: burns MS milliseconds of CPU in short_burn, writes the
 * nanoseconds it measured to descriptor FD as 8 bytes, and exits.
 */
#include <stdlib.h>
#include <unistd.h>

#include "spin.h"

void short_leaf(uint64_t rounds);
void short_burn(uint64_t ns);

TARGET_FRAME void short_leaf(uint64_t rounds) { TARGET_SPIN(rounds); }

TARGET_FRAME void short_burn(uint64_t ns) {
  const uint64_t until = target_clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;
  while (target_clock_ns(CLOCK_THREAD_CPUTIME_ID) < until) short_leaf(20000);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const uint64_t start = target_clock_ns(CLOCK_THREAD_CPUTIME_ID);
  short_burn(strtoull(argv[1], 0, 10) * 1000000);
  const uint64_t used = target_clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
  return write(atoi(argv[2]), &used, sizeof(used)) == sizeof(used) ? 0 : 1;
}
