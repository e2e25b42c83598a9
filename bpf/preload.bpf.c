// SPDX-License-Identifier: GPL-2.0-only
/*
 * preload.bpf.c: blocks that a process samples by itself.
 *
 * libpprofd_heap.so calls two functions that do nothing, one per sampled block
 * and one per free of such; probes sit on their first instructions, in every
 * process that has the library, from its start. So it is here that a process is
 * seen first, and numbered.
 */
#include "heap.bpf.c"

/* By thread group. Writers: this half at a process's first sample, the daemon,
 * which also removes those that have exited. Full: the sample is lost as
 * HEAP_FULL. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, PPROFD_MAX_PRELOADED);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, uint32_t);
  __type(value, struct pprofd_preloaded);
} preloaded SEC(".maps");

/* What is known of the process; null if there is nothing and no room. */
static __noinline struct pprofd_preloaded* find_preloaded(bool begins) {
  uint64_t task = bpf_get_current_task();
  uint64_t leader = LOAD_WORD(task, task_struct, group_leader);
  uint32_t tgid = bpf_get_current_pid_tgid() >> 32;
  struct pprofd_preloaded own = {
      .exec_id = LOAD_WORD(task, task_struct, self_exec_id),
      .start_ticks = LOAD_WORD(leader, task_struct, start_boottime) / 10000000};
  struct pprofd_preloaded* found = bpf_map_lookup_elem(&preloaded, &tgid);
  if (found && found->start_ticks == own.start_ticks) {
    /* The daemon does not know which program it runs by now. */
    if (!found->exec_id) found->exec_id = own.exec_id;
    if (found->exec_id == own.exec_id) return found;
  }
  if (!begins) return 0;
  own.tracking = PPROFD_PRELOAD_TRACKING |
                 (__sync_fetch_and_add(&preload_trackings, 1) + 1);
  bpf_map_update_elem(&preloaded, &tgid, &own, found ? BPF_ANY : BPF_NOEXIST);
  /* Another thread may have been quicker. */
  found = bpf_map_lookup_elem(&preloaded, &tgid);
  if (!found) count_loss(PPROFD_KIND_HEAP, PPROFD_REASON_HEAP_FULL);
  return found;
}

/* From the first instruction of a function to the call of it. Where that cannot
 * be read the walk finds out, too, and says so. */
static __always_inline void return_to_caller(struct unwind_state* state) {
  uint64_t* registers = state->registers;
  uint64_t caller = 0;
  if (bpf_probe_read_user(&caller, sizeof(caller), (const void*)registers[7])) {
    return;
  }
  registers[16] = caller - 1;
  registers[7] += sizeof(caller);
}

/* Whoever has the library can call its functions, with anything. */
#define MAX_PERIOD (1ULL << 40)

static __always_inline bool is_sample(struct pt_regs* ctx) {
  volatile struct pt_regs* regs = ctx;
  uint64_t bytes = regs->rsi;
  uint64_t period = regs->rdx;
  return bytes && bytes < ABSURD_BYTES && period && period <= MAX_PERIOD;
}

/* Its own frame, which is gone when stacks are walked: kernels before 6.13
 * count all that are under way together. */
static __noinline int fill_told_sample(uint32_t context,
                                       struct pprofd_preloaded* process) {
  struct unwind_state* state = unwind_state(context);
  if (!state) return -1;
  begin_sample(state, process->tracking, state->registers[4],
               state->registers[1], state->registers[5]);
  if (!state->sample.address ||
      process->live_blocks >= PPROFD_MAX_PRELOADED_BLOCKS) {
    state->sample.flags |= PPROFD_SAMPLE_UNTRACKED;
  } else if (watch_block(state->context)) {
    __sync_fetch_and_add(&process->live_blocks, 1);
  }
  return_to_caller(state);
  return 0;
}

/* (block, bytes, period); null: its free will not be told. */
SEC("uprobe")
int heap_told_sample(struct pt_regs* ctx) {
  if (!is_sample(ctx)) return 0;
  struct pprofd_preloaded* process = find_preloaded(true);
  if (!process) return 0;
  struct unwind_state* state = take_task_state();
  if (!state) {
    count_loss(PPROFD_KIND_HEAP, PPROFD_REASON_SCRATCH_MISSING);
    return 0;
  }
  if (read_registers(ctx, state->context, false)) goto out;
  if (fill_told_sample(state->context, process)) goto out;
  check_known_mappings(state, bpf_get_current_task());
  start_unwind(state);
  walk_user(state);
  finish_sample(state, finish_user(state));
out:
  give_back(state);
  return 0;
}

/* (block) */
SEC("uprobe")
int heap_told_free(struct pt_regs* ctx) {
  struct pprofd_preloaded* process = find_preloaded(false);
  if (!process) return 0;
  uint64_t address = ((volatile struct pt_regs*)ctx)->rdi;
  uint64_t time = take_live_block(process->tracking, address);
  if (!time) return 0;
  __sync_fetch_and_add(&process->live_blocks, -1);
  send_free(process->tracking, address, time);
  return 0;
}
