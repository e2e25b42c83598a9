/*
 * io_worker SECONDS: has the kernel's own io_uring threads of this process read
 * zeros; they have its memory and no user half. Prints "ready PID", or
 * "unsupported" where io_uring may not be used.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "spin.h"

#define READ_BYTES (4u << 20)

static void* map_ring(int ring, size_t bytes, off_t offset) {
  return mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
              offset);
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  target_stop_on_sigterm();
  struct io_uring_params params;
  memset(&params, 0, sizeof(params));
  int ring = (int)syscall(SYS_io_uring_setup, 1, &params);
  if (ring < 0) {
    printf("unsupported\n");
    return 0;
  }
  size_t queue_bytes = params.sq_off.array + 4 * params.sq_entries;
  char* queue = map_ring(ring, queue_bytes, IORING_OFF_SQ_RING);
  size_t done_bytes =
      params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  char* done = map_ring(ring, done_bytes, IORING_OFF_CQ_RING);
  struct io_uring_sqe* entry =
      map_ring(ring, sizeof(struct io_uring_sqe), IORING_OFF_SQES);
  char* buffer = malloc(READ_BYTES);
  int zero = open("/dev/zero", O_RDONLY);
  if (queue == MAP_FAILED || done == MAP_FAILED || entry == MAP_FAILED ||
      !buffer || zero < 0) {
    return 1;
  }
  unsigned* tail = (unsigned*)(queue + params.sq_off.tail);
  unsigned* index = (unsigned*)(queue + params.sq_off.array);
  unsigned* seen = (unsigned*)(done + params.cq_off.head);

  printf("ready %d\n", getpid());
  fflush(stdout);
  const uint64_t until = target_clock_ns(CLOCK_MONOTONIC) +
                         strtoull(argv[1], 0, 10) * UINT64_C(1000000000);
  while (!target_stopping && target_clock_ns(CLOCK_MONOTONIC) < until) {
    memset(entry, 0, sizeof(*entry));
    entry->opcode = IORING_OP_READ;
    entry->flags = IOSQE_ASYNC;
    entry->fd = zero;
    entry->addr = (uint64_t)(uintptr_t)buffer;
    entry->len = READ_BYTES;
    index[0] = 0;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) <
        0) {
      continue;
    }
    __atomic_store_n(seen, *seen + 1, __ATOMIC_RELEASE);
  }
  return 0;
}
