// What the small targets share: a spin, clocks, and "stop on SIGTERM".
#ifndef TESTS_TARGETS_SPIN_H_
#define TESTS_TARGETS_SPIN_H_

#include <signal.h>
#include <stdint.h>
#include <time.h>

#define TARGET_FRAME __attribute__((noipa))
#define TARGET_KEEP_FRAME() __asm__ volatile("" ::: "memory")
#define TARGET_SPIN(rounds)                                            \
  do {                                                                 \
    uint64_t spin_state = (rounds);                                    \
    for (uint64_t spin_left = (rounds); spin_left != 0; --spin_left) { \
      spin_state = spin_state * UINT64_C(6364136223846793005) + 1;     \
      __asm__ volatile("" : "+r"(spin_state));                         \
    }                                                                  \
  } while (0)

static volatile sig_atomic_t target_stopping;

static void target_stop(int number) {
  (void)number;
  target_stopping = 1;
}

static inline void target_stop_on_sigterm(void) {
  struct sigaction action = {};
  action.sa_handler = target_stop;
  sigaction(SIGTERM, &action, 0);
}

static inline uint64_t target_clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

#endif  // TESTS_TARGETS_SPIN_H_
