/*
 * What the heap targets share: counting what they allocate, telling it, and
 * doing nothing before they are told to.
 *
 * A target prints "ready PID", waits for a line, allocates, prints its truth as
 * one line of JSON, and waits for a line before it goes on; an end of input is
 * a line. What it allocates on its own account it does before "ready".
 */
#ifndef TESTS_TARGETS_HEAP_HEAP_TARGET_H_
#define TESTS_TARGETS_HEAP_HEAP_TARGET_H_

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../spin.h"

/* Counted by the function that calls the allocator. */
struct heap_site {
  const char* name;
  const char* caller; /* the function that calls it */
  uint64_t objects;
  uint64_t bytes; /* requested */
  uint64_t freed_objects;
  uint64_t freed_bytes;
};

/* Threads share sites. */
static inline void heap_count(struct heap_site* site, size_t bytes) {
  __atomic_fetch_add(&site->objects, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&site->bytes, bytes, __ATOMIC_RELAXED);
}

static inline void heap_count_free(struct heap_site* site, size_t bytes) {
  __atomic_fetch_add(&site->freed_objects, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&site->freed_bytes, bytes, __ATOMIC_RELAXED);
}

/* The compiler must not know what becomes of a block. */
static inline void* heap_escape(void* block) {
  __asm__ volatile("" : "+r"(block) : : "memory");
  if (!block) abort();
  return block;
}

static inline void heap_wait_for_line(void) {
  char c = 0;
  while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n') continue;
}

static int heap_pid; /* it may not be allowed to ask later */

/* stdio would allocate a buffer. */
static inline void heap_ready(void) {
  static char buffer[4096];
  setvbuf(stdout, buffer, _IOLBF, sizeof(buffer));
  heap_pid = getpid();
  printf("ready %d\n", heap_pid);
  fflush(stdout);
}

static inline void heap_print_truth(const char* mode,
                                    const struct heap_site* sites,
                                    size_t count) {
  uint64_t allocs = 0;
  uint64_t bytes = 0;
  uint64_t frees = 0;
  printf("{\"pid\":%d,\"mode\":\"%s\",\"sites\":{", heap_pid, mode);
  for (size_t i = 0; i < count; ++i) {
    const struct heap_site* site = &sites[i];
    printf(
        "%s\"%s\":{\"caller\":\"%s\",\"objects\":%llu,\"bytes\":%llu,"
        "\"live_objects\":%llu,\"live_bytes\":%llu}",
        i == 0 ? "" : ",", site->name, site->caller,
        (unsigned long long)site->objects, (unsigned long long)site->bytes,
        (unsigned long long)(site->objects - site->freed_objects),
        (unsigned long long)(site->bytes - site->freed_bytes));
    allocs += site->objects;
    bytes += site->bytes;
    frees += site->freed_objects;
  }
  printf("},\"totals\":{\"allocs\":%llu,\"bytes\":%llu,\"frees\":%llu}}\n",
         (unsigned long long)allocs, (unsigned long long)bytes,
         (unsigned long long)frees);
  fflush(stdout);
}

/* Sleeps as long as more than `per_second` of `done` are done; 0 = never. */
struct heap_pace {
  uint64_t per_second;
  uint64_t start_ns;
  uint64_t done;
};

static inline void heap_keep_pace(struct heap_pace* pace) {
  if (pace->per_second == 0) return;
  uint64_t due_ns =
      pace->start_ns + ++pace->done * UINT64_C(1000000000) / pace->per_second;
  uint64_t now_ns = target_clock_ns(CLOCK_MONOTONIC);
  /* Short sleeps cost more than they last. */
  if (due_ns < now_ns + 1000000) return;
  struct timespec pause = {(time_t)((due_ns - now_ns) / 1000000000),
                           (long)((due_ns - now_ns) % 1000000000)};
  nanosleep(&pause, NULL);
}

static inline uint64_t heap_argument(int argc, char** argv, int index,
                                     uint64_t fallback) {
  return index < argc ? strtoull(argv[index], NULL, 10) : fallback;
}

#endif /* TESTS_TARGETS_HEAP_HEAP_TARGET_H_ */
