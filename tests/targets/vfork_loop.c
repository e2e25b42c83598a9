/*
 * vfork_loop SECONDS: children that burn in their parent's memory and stack
 * between vfork and _exit. Prints "ready PID".
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spin.h"

void vfork_child_burn(uint64_t rounds);
void vfork_parent_burn(uint64_t rounds);
void vfork_once(void);

TARGET_FRAME void vfork_child_burn(uint64_t rounds) { TARGET_SPIN(rounds); }
TARGET_FRAME void vfork_parent_burn(uint64_t rounds) { TARGET_SPIN(rounds); }

TARGET_FRAME void vfork_once(void) {
  pid_t pid = vfork();
  if (pid == 0) {
    vfork_child_burn(200000);
    _exit(0);
  }
  vfork_parent_burn(200000);
  if (pid > 0) waitpid(pid, 0, 0);
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  target_stop_on_sigterm();
  printf("ready %d\n", getpid());
  fflush(stdout);
  const uint64_t until = target_clock_ns(CLOCK_MONOTONIC) +
                         strtoull(argv[1], 0, 10) * UINT64_C(1000000000);
  while (!target_stopping && target_clock_ns(CLOCK_MONOTONIC) < until) {
    vfork_once();
  }
  return 0;
}
