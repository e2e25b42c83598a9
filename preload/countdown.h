/* SPDX-License-Identifier: Apache-2.0 */
/*
 * countdown.h: which allocations of a thread are sampled.
 *
 * Each thread counts down the bytes it asks for, from intervals that are drawn
 * from an exponential distribution with the sampling period as its mean. As
 * that has no memory, a block of S bytes is sampled with probability
 * 1 - exp(-S / period), each independently: the same as bpf/heap_sampling.h.
 *
 * Thread: countdowns are of the thread that calls; the period is shared. A
 * signal handler that allocates in the middle of one loses its own bytes at
 * worst. After fork both go on from the same state: each is as random as
 * before, but they are alike.
 *
 * Bound: more than PPROFD_MAX_SAMPLES_PER_SECOND of a process double the
 * period, and a quarter of that halves it again, down to where it began.
 */
#ifndef PRELOAD_COUNTDOWN_H_
#define PRELOAD_COUNTDOWN_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PPROFD_DEFAULT_PERIOD (512u << 10)
#define PPROFD_MAX_SAMPLES_PER_SECOND 5000

struct countdown {
  uint64_t left;   /* bytes until the next sample */
  uint64_t turns;  /* how often it has ended */
  uint64_t period; /* that `left` was drawn with; 0 = not begun */
  uint64_t random; /* state of the generator */
};

/* initial-exec: in the thread's own block, without a call to find it. */
extern __thread struct countdown countdown
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* True for nearly all: not sampled. Otherwise ask countdown_end. */
static inline bool countdown_goes_on(uint64_t bytes) {
  uint64_t left = countdown.left;
  if (__builtin_expect(bytes > left, 0)) return false;
  countdown.left = left - bytes;
  return true;
}

/* The period with which a block is sampled that the countdown did not survive;
 * 0 = it is not, after all. */
uint64_t countdown_end(uint64_t bytes) __attribute__((visibility("hidden")));

/* No sample any more. */
void countdown_mute(void) __attribute__((visibility("hidden")));

/* From now on twice as many bytes between samples, for good. */
void countdown_raise_period(void) __attribute__((visibility("hidden")));

#ifdef __cplusplus
}
#endif

#endif /* PRELOAD_COUNTDOWN_H_ */
