/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampled_blocks.h: the blocks that were sampled and not freed yet.
 *
 * Nearly every free is of a block that was not sampled. A filter of small
 * counters, by hash, tells so with one load; behind it, a table of two buckets
 * per hash tells for sure.
 *
 * Thread: any, also a signal handler: nothing here waits. A block is added and
 * removed by who owns it.
 * Bound: SAMPLED_BLOCKS_CAPACITY. From half of it on, each further eighth
 * doubles the sampling period; a block that finds both buckets full is not
 * added.
 */
#ifndef PRELOAD_SAMPLED_BLOCKS_H_
#define PRELOAD_SAMPLED_BLOCKS_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SAMPLED_BLOCKS_CAPACITY (1u << 16)
#define SAMPLED_BLOCKS_FILTER_BITS 17

extern uint8_t sampled_blocks_filter[1 << SAMPLED_BLOCKS_FILTER_BITS]
    __attribute__((visibility("hidden")));

/* Blocks are aligned to 16 bytes: the low bits tell nothing. */
static inline uint64_t sampled_blocks_hash(const void* block) {
  return ((uint64_t)(uintptr_t)block >> 4) * 0x9e3779b97f4a7c15;
}

static inline bool sampled_blocks_may_have(const void* block) {
  uint64_t cell =
      sampled_blocks_hash(block) >> (64 - SAMPLED_BLOCKS_FILTER_BITS);
  return __atomic_load_n(&sampled_blocks_filter[cell], __ATOMIC_RELAXED) != 0;
}

/* False: there is no room, its free will not be seen. */
bool sampled_blocks_add(void* block) __attribute__((visibility("hidden")));

/* True when it was there. */
bool sampled_blocks_remove(void* block) __attribute__((visibility("hidden")));

#ifdef __cplusplus
}
#endif

#endif /* PRELOAD_SAMPLED_BLOCKS_H_ */
