/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/sampled_blocks.h"

#include "preload/countdown.h"

#define BUCKET_BLOCKS 8 /* a cache line */
#define BUCKETS (SAMPLED_BLOCKS_CAPACITY / BUCKET_BLOCKS)
#define STUCK 255 /* a counter that is full cannot tell any more */

uint8_t sampled_blocks_filter[1 << SAMPLED_BLOCKS_FILTER_BITS];

static uintptr_t buckets[BUCKETS][BUCKET_BLOCKS]
    __attribute__((aligned(64))); /* 0 = free */
static uint32_t block_count;

static uint8_t* filter_cell(const void* block) {
  return &sampled_blocks_filter[sampled_blocks_hash(block) >>
                                (64 - SAMPLED_BLOCKS_FILTER_BITS)];
}

static void change_cell(uint8_t* cell, int change) {
  uint8_t count = __atomic_load_n(cell, __ATOMIC_RELAXED);
  while (count != STUCK && !__atomic_compare_exchange_n(
                               cell, &count, (uint8_t)(count + change), true,
                               __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

static uintptr_t* bucket_of(const void* block, int choice) {
  uint64_t hash = sampled_blocks_hash(block);
  return buckets[(hash >> (choice ? 34 : 51)) % BUCKETS];
}

/* Puts `to` where `from` is, in one of the block's buckets. */
static bool replace(const void* block, uintptr_t from, uintptr_t to) {
  for (int choice = 0; choice < 2; choice++) {
    uintptr_t* bucket = bucket_of(block, choice);
    for (int i = 0; i < BUCKET_BLOCKS; i++) {
      uintptr_t found = __atomic_load_n(&bucket[i], __ATOMIC_RELAXED);
      if (found == from &&
          __atomic_compare_exchange_n(&bucket[i], &found, to, false,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        return true;
      }
    }
  }
  return false;
}

bool sampled_blocks_add(void* block) {
  uintptr_t address = (uintptr_t)block;
  /* Freed in a way that nobody saw, and handed out again. */
  if (sampled_blocks_may_have(block) && replace(block, address, address)) {
    return true;
  }
  change_cell(filter_cell(block), 1);
  if (!replace(block, 0, address)) {
    change_cell(filter_cell(block), -1);
    return false;
  }
  uint32_t count = __atomic_add_fetch(&block_count, 1, __ATOMIC_RELAXED);
  if (count >= SAMPLED_BLOCKS_CAPACITY / 2 &&
      count % (SAMPLED_BLOCKS_CAPACITY / 8) == 0) {
    countdown_raise_period();
  }
  return true;
}

bool sampled_blocks_remove(void* block) {
  if (!block || !replace(block, (uintptr_t)block, 0)) return false;
  change_cell(filter_cell(block), -1);
  __atomic_sub_fetch(&block_count, 1, __ATOMIC_RELAXED);
  return true;
}
