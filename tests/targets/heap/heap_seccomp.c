/*
 * heap_seccomp strict|filter COUNT: allocates where nearly every system call
 * kills.
 *
 * Allowed are read, write, exit and the return from a signal. A line has it
 * allocate COUNT blocks, the next one resize and free them. See heap_target.h.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "heap_target.h"

enum { kMaxBlocks = 50000, kBytes = 200, kHeapBytes = 64 << 20 };

static struct heap_site sites[] = {
    {.name = "guarded_block", .caller = "hold_guarded"},
    {.name = "grown_block", .caller = "grow_guarded"},
};

static void* blocks[kMaxBlocks];

void* guarded_block(void);
TARGET_FRAME void* guarded_block(void) {
  void* block = heap_escape(malloc(kBytes));
  heap_count(&sites[0], kBytes);
  return block;
}

void* grown_block(void* old);
TARGET_FRAME void* grown_block(void* old) {
  void* block = heap_escape(realloc(old, 2 * kBytes));
  heap_count_free(&sites[0], kBytes);
  heap_count(&sites[1], 2 * kBytes);
  return block;
}

void hold_guarded(uint64_t count);
TARGET_FRAME void hold_guarded(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) blocks[i] = guarded_block();
  TARGET_KEEP_FRAME();
}

/* Half of them stay. */
void grow_guarded(uint64_t count);
TARGET_FRAME void grow_guarded(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    blocks[i] = grown_block(blocks[i]);
    if (i % 2 == 0) continue;
    free(blocks[i]);
    heap_count_free(&sites[1], 2 * kBytes);
  }
  TARGET_KEEP_FRAME();
}

/* All the memory that it will need, as it may not ask for more. */
static void take_memory(void) {
  mallopt(M_TOP_PAD, kHeapBytes);
  mallopt(M_TRIM_THRESHOLD, 2 * kHeapBytes);
  mallopt(M_MMAP_THRESHOLD, 2 * kHeapBytes);
  free(heap_escape(malloc(kBytes)));
}

static int allow_four_calls(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  uint64_t count = heap_argument(argc, argv, 2, 1000);
  if (count > kMaxBlocks) return 2;
  take_memory();
  heap_ready();
  int failed = strcmp(argv[1], "strict") == 0
                   ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)
                   : allow_four_calls();
  if (failed) return 1;
  heap_wait_for_line();
  hold_guarded(count);
  heap_print_truth("held", sites, 2);
  heap_wait_for_line();
  grow_guarded(count);
  heap_print_truth("grown", sites, 2);
  heap_wait_for_line();
  syscall(SYS_exit, 0);
}
