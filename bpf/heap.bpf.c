// SPDX-License-Identifier: GPL-2.0-only
/*
 * heap.bpf.c: samples the blocks that a process allocates, and their frees.
 *
 * Probes sit on the allocator's functions, a little behind their entry (see
 * symbolizer/probe_point.h). What is sampled is decided at the entry; the rest
 * happens where the function returns, as only then the block has an address. A
 * block's sample is in the ring before the program gets to know the block, so
 * its free always comes later.
 */
#include "heap_sampling.h"
#include "sample.h"

/* A sampled call, or one that moves a sampled block, on its way. */
struct pending_call {
  uint64_t cookie;
  uint64_t entry;       /* virtual address of the function */
  uint64_t bytes;       /* 0 = not sampled */
  uint64_t result_at;   /* posix_memalign: where the block's address will be */
  uint64_t old_address; /* realloc: of the block that was sampled */
  uint64_t old_time;    /* 0 = was not */
  uint64_t keeps_old;   /* bool: the old block stays if there is no new one */
};

/* By thread. Writer and reader: heap programs of that thread. Full: the oldest
 * goes, which is a thread that died inside its allocator. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, uint64_t);
  __type(value, struct pending_call);
} pending_calls SEC(".maps");

/* A register by its DWARF number. */
static __always_inline uint64_t read_register(const struct pt_regs* regs,
                                              uint32_t number) {
  switch (number & 15) {
    case 0:
      return regs->rax;
    case 1:
      return regs->rdx;
    case 2:
      return regs->rcx;
    case 3:
      return regs->rbx;
    case 4:
      return regs->rsi;
    case 5:
      return regs->rdi;
    case 6:
      return regs->rbp;
    case 8:
      return regs->r8;
    case 9:
      return regs->r9;
    case 10:
      return regs->r10;
    case 11:
      return regs->r11;
    case 12:
      return regs->r12;
    case 13:
      return regs->r13;
    case 14:
      return regs->r14;
    case 15:
      return regs->r15;
  }
  return 0;
}

/* In functions with frames of their own: a copy would not fit on the stack
 * beside the unwinder, and the verifier refuses computed accesses to the
 * context. */
static __noinline int read_arguments(struct pt_regs* ctx, uint64_t cookie,
                                     uint64_t* arguments) {
  struct pt_regs regs;
  if (bpf_probe_read_kernel(&regs, sizeof(regs), ctx)) return -1;
  cookie >>= PPROFD_HEAP_COOKIE_REGISTER_SHIFT;
  arguments[0] = read_register(&regs, cookie);
  arguments[1] = read_register(&regs, cookie >> 4);
  arguments[2] = read_register(&regs, cookie >> 8);
  return 0;
}

static __noinline int read_registers(struct pt_regs* ctx, uint32_t context,
                                     bool is_return) {
  struct unwind_state* state = unwind_state(context);
  struct pt_regs regs;
  if (!state || bpf_probe_read_kernel(&regs, sizeof(regs), ctx)) return -1;
  fill_registers(state, &regs);
  /* Taken back into the call instruction, where the same rule holds, the return
   * address needs no mark to be told from others. */
  if (is_return) state->registers[16] -= 1;
  return 0;
}

static __always_inline uint64_t instruction_of(struct pt_regs* ctx) {
  return ((volatile struct pt_regs*)ctx)->rip;
}

/* More than an address space is refused by every allocator. */
#define ABSURD_BYTES (1ULL << 47)

static __always_inline uint64_t product(uint64_t count, uint64_t bytes) {
  /* A division here would become a multiplication of 128 bits, which BPF does
   * not have. */
  if (count >> 40 || bytes >> 40 || (count >> 24 && bytes >> 24)) {
    return ABSURD_BYTES;
  }
  return count * bytes;
}

static __always_inline void send_free(uint32_t tracking, uint64_t address,
                                      uint64_t alloc_time_ns) {
  struct pprofd_free* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event) {
    count_loss(PPROFD_KIND_HEAP, PPROFD_REASON_RING_FULL);
    return;
  }
  event->header.version = PPROFD_ABI_VERSION;
  event->header.kind = PPROFD_EVENT_FREE;
  event->header.size = sizeof(*event);
  event->header.time_ns = bpf_ktime_get_boot_ns();
  event->tgid = bpf_get_current_pid_tgid() >> 32;
  event->tracking = tracking;
  event->address = address;
  event->alloc_time_ns = alloc_time_ns;
  bpf_ringbuf_submit(event, ring_wakeup());
}

/* The time of the block's sample, which is forgotten; 0 if it has none. */
static __always_inline uint64_t take_live_block(uint32_t tracking,
                                                uint64_t address) {
  struct pprofd_live_block key = {.address = address, .tracking = tracking};
  uint64_t* found = bpf_map_lookup_elem(&live_blocks, &key);
  if (!found) return 0;
  uint64_t time = *found;
  if (bpf_map_delete_elem(&live_blocks, &key)) return 0;
  return time;
}

static __always_inline bool is_sampled(const struct pprofd_heap_target* target,
                                       uint64_t bytes) {
  if (!bytes) return false;
  if (bytes >= target->certain_bytes) return true;
  return pprofd_is_sampled(bpf_get_prandom_u32(), bytes, target->scale);
}

/* What the call asks for, by the kind of its function; false when another
 * probed function will see it, or when it is a free. */
static __always_inline bool read_call(struct pt_regs* ctx, uint64_t cookie,
                                      struct pending_call* call,
                                      uint64_t* released) {
  uint64_t arguments[3] = {};
  if (read_arguments(ctx, cookie, arguments)) return false;
  uint64_t first = arguments[0];
  uint64_t second = arguments[1];
  switch (cookie & 0xff) {
    case PPROFD_HEAP_MALLOC:
    case PPROFD_HEAP_NEW:
      call->bytes = first;
      return true;
    case PPROFD_HEAP_CALLOC:
      call->bytes = product(first, second);
      return true;
    case PPROFD_HEAP_REALLOC_BLOCK:
      /* Of null it calls malloc, to nothing it calls free. */
      if (!first || !second) return false;
      *released = first;
      call->bytes = second;
      return true;
    case PPROFD_HEAP_REALLOC:
      *released = first;
      call->bytes = second;
      return true;
    case PPROFD_HEAP_REALLOCARRAY:
      *released = first;
      call->bytes = product(second, arguments[2]);
      return true;
    case PPROFD_HEAP_ALIGNED_ABOVE:
      if (first <= 16) return false;
      call->bytes = second;
      return true;
    case PPROFD_HEAP_ALIGNED:
      call->bytes = second;
      return true;
    case PPROFD_HEAP_POSIX_MEMALIGN_ABOVE:
      if (second <= 16) return false;
      call->result_at = first;
      call->bytes = arguments[2];
      return true;
    case PPROFD_HEAP_POSIX_MEMALIGN:
      call->result_at = first;
      call->bytes = arguments[2];
      return true;
    case PPROFD_HEAP_FREE:
      *released = first;
      return false;
  }
  return false;
}

/* Not so when a child has the breakpoints of its parent, and when the probe is
 * about to be replaced. */
static __always_inline bool is_watched(const struct pprofd_heap_target* target,
                                       uint64_t cookie) {
  uint8_t generation = cookie >> PPROFD_HEAP_COOKIE_GENERATION_SHIFT;
  return target->tgid == bpf_get_current_pid_tgid() >> 32 &&
         target->generation == generation;
}

static __always_inline const struct pprofd_heap_target* target_of(
    uint64_t cookie) {
  return &heap_targets[(cookie >> PPROFD_HEAP_COOKIE_TARGET_SHIFT) &
                       (PPROFD_MAX_HEAP_TARGETS - 1)];
}

static __always_inline struct pprofd_heap_counts* counts_of(uint64_t cookie) {
  uint32_t index = (cookie >> PPROFD_HEAP_COOKIE_TARGET_SHIFT) &
                   (PPROFD_MAX_HEAP_TARGETS - 1);
  return bpf_map_lookup_elem(&heap_counts, &index);
}

/* The function that was probed, in front of the frames of its caller. */
static __noinline int append_probed_function(struct unwind_state* state,
                                             uint64_t entry) {
  int index = find_mapping(state, entry);
  if (index < 0) return 0;
  struct known_mapping* known =
      &state->mappings[index & (PPROFD_MAX_SAMPLE_MAPPINGS - 1)];
  state->used_mappings |= 1u << (index & (PPROFD_MAX_SAMPLE_MAPPINGS - 1));
  uint64_t pc = state->pc;
  state->pc = entry;
  append_frame(state, known);
  state->pc = pc;
  state->sample.flags |= PPROFD_SAMPLE_PROBED;
  return 0;
}

/* A sample of one block, as far as it does not depend on who saw it. */
static __always_inline void begin_sample(struct unwind_state* state,
                                         uint32_t tracking, uint64_t bytes,
                                         uint64_t period_bytes,
                                         uint64_t address) {
  fill_sample(state, bpf_get_current_task(), PPROFD_KIND_HEAP);
  struct pprofd_sample* sample = &state->sample;
  sample->flags = PPROFD_SAMPLE_USER_MODE;
  sample->capture = tracking;
  sample->value[0] = bytes;
  sample->value[1] = period_bytes;
  sample->address = address;
}

/* True when there is one more in the table; false, too, when the address was
 * handed out again after a free that nobody saw. Its own frame: kernels before
 * 6.13 count all that are under way together. */
static __noinline bool watch_block(uint32_t context) {
  struct unwind_state* state = unwind_state(context);
  if (!state) return false;
  struct pprofd_sample* sample = &state->sample;
  uint64_t time = sample->header.time_ns;
  struct pprofd_live_block key = {.address = sample->address,
                                  .tracking = sample->capture};
  bool is_new = !bpf_map_lookup_elem(&live_blocks, &key);
  if (bpf_map_update_elem(&live_blocks, &key, &time, BPF_ANY)) {
    sample->flags |= PPROFD_SAMPLE_UNTRACKED;
    count_reason(PPROFD_REASON_LIVE_BLOCKS_FULL);
    return false;
  }
  return is_new;
}

/* Its own frame: with it in two places the others would not fit. */
static __noinline int sample_block(struct pt_regs* ctx,
                                   const struct pending_call* call,
                                   uint64_t address) {
  const struct pprofd_heap_target* target = target_of(call->cookie);
  struct pprofd_heap_counts* counts = counts_of(call->cookie);
  if (!counts) return 0;
  struct unwind_state* state = take_task_state();
  if (!state) {
    count_loss(PPROFD_KIND_HEAP, PPROFD_REASON_SCRATCH_MISSING);
    return 0;
  }
  uint64_t begin = bpf_ktime_get_ns();
  begin_sample(state, target->tracking, call->bytes, target->period_bytes,
               address);
  if (target->watches_frees && address) watch_block(state->context);
  if (read_registers(ctx, state->context, address != 0)) goto out;
  check_known_mappings(state, bpf_get_current_task());
  start_unwind(state);
  if (address) append_probed_function(state, call->entry);
  walk_user(state);
  finish_sample(state, finish_user(state));
out:
  counts->sampling_ns += bpf_ktime_get_ns() - begin;
  give_back(state);
  return 0;
}

/* A call that was still on its way has been left by other means than its
 * return, or by a signal handler that allocates: its old block is gone for
 * good. */
static __always_inline void begin_call(uint32_t tracking,
                                       const struct pending_call* call) {
  uint64_t thread = bpf_get_current_pid_tgid();
  struct pending_call* left = bpf_map_lookup_elem(&pending_calls, &thread);
  if (left && left->old_time) {
    send_free(tracking, left->old_address, left->old_time);
  }
  bpf_map_update_elem(&pending_calls, &thread, call, BPF_ANY);
}

/* Its own frame, as that of enter_call is there while stacks are walked. */
static __noinline int count_alloc(struct pprofd_heap_counts* counts,
                                  uint64_t bytes) {
  if (!counts) return 0;
  counts->allocs += 1;
  counts->alloc_bytes += bytes;
  counts->allocs_by_size[pprofd_size_class(bytes) &
                         (PPROFD_HEAP_SIZE_CLASSES - 1)] += 1;
  return 0;
}

/* True when the return of this call matters. */
static __always_inline bool enter_call(struct pt_regs* ctx, uint64_t cookie) {
  struct pprofd_heap_counts* counts = counts_of(cookie);
  const struct pprofd_heap_target* target = target_of(cookie);
  if (!counts) return false;
  counts->hits += 1;
  if (!is_watched(target, cookie)) return false;

  struct pending_call call = {};
  uint64_t released = 0;
  bool allocates = read_call(ctx, cookie, &call, &released);
  if (allocates && call.bytes >= ABSURD_BYTES) return false;
  if (allocates) count_alloc(counts, call.bytes);
  if (released) counts->frees += 1;
  if (released && target->watches_frees) {
    call.old_time = take_live_block(target->tracking, released);
  }
  if (!allocates) {
    if (call.old_time) send_free(target->tracking, released, call.old_time);
    return false;
  }
  call.cookie = cookie;
  call.keeps_old = call.bytes != 0;
  call.old_address = released;
  if (!is_sampled(target, call.bytes)) {
    call.bytes = 0;
    if (!call.old_time) return false;
  }
  if ((cookie & 0xff) == PPROFD_HEAP_NEW) {
    sample_block(ctx, &call, 0);
    return false;
  }
  call.entry =
      instruction_of(ctx) - ((cookie >> PPROFD_HEAP_COOKIE_DELTA_SHIFT) & 0xff);
  begin_call(target->tracking, &call);
  return true;
}

static __always_inline void leave_call(struct pt_regs* ctx, uint64_t cookie) {
  uint64_t thread = bpf_get_current_pid_tgid();
  struct pending_call* found = bpf_map_lookup_elem(&pending_calls, &thread);
  /* Of the others the return does not matter. */
  if (!found || found->cookie != cookie) return;
  struct pending_call call = *found;
  bpf_map_delete_elem(&pending_calls, &thread);
  struct pprofd_heap_counts* counts = counts_of(cookie);
  const struct pprofd_heap_target* target = target_of(cookie);
  if (!counts || !is_watched(target, cookie)) return;
  counts->hits += 1;

  uint64_t address = ((volatile struct pt_regs*)ctx)->rax;
  if (call.result_at) {
    uint64_t result = 0;
    if (address == 0) {
      bpf_probe_read_user(&result, sizeof(result), (const void*)call.result_at);
    }
    address = result;
  }
  if (!address && call.keeps_old) {
    if (call.old_time) {
      struct pprofd_live_block key = {.address = call.old_address,
                                      .tracking = target->tracking};
      bpf_map_update_elem(&live_blocks, &key, &call.old_time, BPF_ANY);
    }
    return;
  }
  if (call.old_time) {
    send_free(target->tracking, call.old_address, call.old_time);
  }
  if (call.bytes && address) sample_block(ctx, &call, address);
}

/* Where the kernel has sessions: one trap for a call whose return does not
 * matter. Attached to entries and returns alike; which it is tells the address,
 * which at a return is the caller's. */
SEC("uprobe.multi")
int heap_session(struct pt_regs* ctx) {
  uint64_t cookie = bpf_get_attach_cookie(ctx);
  if (bpf_get_func_ip(ctx) != instruction_of(ctx)) {
    leave_call(ctx, cookie);
    return 0;
  }
  return enter_call(ctx, cookie) ? 0 : 1;
}

/* Elsewhere: two traps for every call. */
SEC("uprobe")
int heap_entry(struct pt_regs* ctx) {
  enter_call(ctx, bpf_get_attach_cookie(ctx));
  return 0;
}

SEC("uretprobe")
int heap_return(struct pt_regs* ctx) {
  leave_call(ctx, bpf_get_attach_cookie(ctx));
  return 0;
}

/* Children begin with their parent's breakpoints, whose traps do nothing for
 * them: the daemon has to take those out. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(heap_fork, struct task_struct* parent, struct task_struct* child) {
  if (!heap_targets_open) return 0;
  uint64_t mm = LOAD_WORD((uint64_t)parent, task_struct, mm);
  if (!mm || LOAD_WORD((uint64_t)child, task_struct, mm) == mm) return 0;
  uint32_t tgid = LOAD_HALF((uint64_t)parent, task_struct, tgid);
  for (uint32_t i = 0; i < PPROFD_MAX_HEAP_TARGETS; i++) {
    if (heap_targets[i].tgid == tgid) heap_targets[i].forks += 1;
  }
  return 0;
}
