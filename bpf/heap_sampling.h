/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * heap_sampling.h: which allocations are sampled.
 *
 * Bytes are sampled as by a Poisson process with one sample in `period` bytes
 * on average, so a block of S bytes is taken with probability 1 - exp(-S /
 * period) (Go's runtime and google/pprof unsample by the same formula). As the
 * process has no memory, each block is decided on its own, without state. Pure;
 * compiles natively, too, for its test. Numbers are in units of 2^-32.
 */
#ifndef PPROFD_BPF_HEAP_SAMPLING_H_
#define PPROFD_BPF_HEAP_SAMPLING_H_

#ifdef __cplusplus
#include <cstdint>
#elif !defined(__bpf__)
#include <stdint.h>
#endif

#define PPROFD_ONE (1ULL << 32)
/* Blocks of 16 periods are sampled but for one in nine million: always. */
#define PPROFD_CERTAIN_PERIODS 16

/* exp(-x) for x in [0, 1): the Taylor series, innermost term first. */
static inline uint64_t pprofd_exp_of_fraction(uint64_t x) {
  uint64_t term = PPROFD_ONE;
#define PPROFD_STEP(k) \
  term = PPROFD_ONE - (((x * term >> 32) * (PPROFD_ONE / (k))) >> 32)
  PPROFD_STEP(12);
  PPROFD_STEP(11);
  PPROFD_STEP(10);
  PPROFD_STEP(9);
  PPROFD_STEP(8);
  PPROFD_STEP(7);
  PPROFD_STEP(6);
  PPROFD_STEP(5);
  PPROFD_STEP(4);
  PPROFD_STEP(3);
  PPROFD_STEP(2);
#undef PPROFD_STEP
  return PPROFD_ONE - (x * term >> 32);
}

/* exp(-n) for n in [0, 16). */
static inline uint64_t pprofd_exp_of_whole(uint64_t n) {
  uint64_t result = PPROFD_ONE;
  /* exp(-8), exp(-4), exp(-2), exp(-1) in units of 2^-32. */
  if (n & 8) result = result * 1440801ULL >> 32;
  if (n & 4) result = result * 78665070ULL >> 32;
  if (n & 2) result = result * 581260615ULL >> 32;
  if (n & 1) result = result * 1580030169ULL >> 32;
  return result;
}

/* Whether a block is sampled, by 32 random bits. `scale` is 2^56 / period.
 * REQUIRES: bytes < 16 periods. */
static inline int pprofd_is_sampled(uint32_t random, uint64_t bytes,
                                    uint64_t scale) {
  uint64_t x = bytes * scale >> 24;
  /* 1 - exp(-x) is less than x: nearly all small blocks end here. */
  if (random >= x) return 0;
  uint64_t missed = pprofd_exp_of_whole(x >> 32) *
                    (pprofd_exp_of_fraction(x & (PPROFD_ONE - 1)) >> 1);
  return random < PPROFD_ONE - (missed >> 31);
}

#endif /* PPROFD_BPF_HEAP_SAMPLING_H_ */
