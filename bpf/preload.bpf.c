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

/* The process's number; 0 = it has none. */
static __noinline uint32_t preloaded_tracking(bool begins) {
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
    if (found->exec_id == own.exec_id) return found->tracking;
  }
  if (!begins) return 0;
  own.tracking = PPROFD_PRELOAD_TRACKING |
                 (__sync_fetch_and_add(&preload_trackings, 1) + 1);
  if (!bpf_map_update_elem(&preloaded, &tgid, &own,
                           found ? BPF_ANY : BPF_NOEXIST)) {
    return own.tracking;
  }
  /* Another thread was quicker, or there is no room. */
  found = bpf_map_lookup_elem(&preloaded, &tgid);
  if (found) return found->tracking;
  count_reason(PPROFD_REASON_HEAP_FULL);
  return 0;
}

/* From the first instruction of a function to the call of it. */
static __always_inline int return_to_caller(struct unwind_state* state) {
  uint64_t* registers = state->registers;
  if (bpf_probe_read_user(&registers[16], sizeof(registers[16]),
                          (const void*)registers[7])) {
    return -1;
  }
  registers[16] -= 1;
  registers[7] += sizeof(registers[16]);
  return 0;
}

/* (block, bytes, period); null: its free will not be told. */
SEC("uprobe")
int heap_told_sample(struct pt_regs* ctx) {
  uint32_t tracking = preloaded_tracking(true);
  if (!tracking) return 0;
  struct unwind_state* state = take_task_state();
  if (!state) {
    count_reason(PPROFD_REASON_SCRATCH_MISSING);
    return 0;
  }
  if (read_registers(ctx, state->context, false)) goto out;
  begin_sample(state, tracking, state->registers[4], state->registers[1],
               state->registers[5]);
  if (state->sample.address) {
    watch_block(state);
  } else {
    state->sample.flags |= PPROFD_SAMPLE_UNTRACKED;
  }
  if (return_to_caller(state)) goto out;
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
  uint32_t tracking = preloaded_tracking(false);
  if (!tracking) return 0;
  uint64_t address = ((volatile struct pt_regs*)ctx)->rdi;
  uint64_t time = take_live_block(tracking, address);
  if (time) send_free(tracking, address, time);
  return 0;
}
