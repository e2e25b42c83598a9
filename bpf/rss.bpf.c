// SPDX-License-Identifier: GPL-2.0-only
/*
 * rss.bpf.c: samples page faults, by which programs grow.
 *
 * Memory becomes resident at its first touch, which is a fault on a page that
 * is not present: of the program itself, or of the kernel, when a system call
 * writes into memory that the program has not touched yet. One fault of some is
 * sampled and stands for as many.
 */
#include "sample.h"

/* Of the error code that x86 gives to a fault: the page was there. */
#define FAULT_PRESENT 1

/* Faults on this CPU up to the next sample; 0 = not drawn yet. Writer and
 * reader: rss programs. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, uint32_t);
  __type(value, uint32_t);
} faults_left SEC(".maps");

/* The distance to the next sample is drawn anew each time, evenly from 1 to
 * twice the mean: no pattern in a program falls into step, and it varies less
 * than a coin thrown for each fault, which costs more, too. */
static __always_inline bool is_sampled_fault(void) {
  uint32_t index = 0;
  uint32_t* left = bpf_map_lookup_elem(&faults_left, &index);
  if (!left) return false;
  uint32_t before = *left;
  if (before > 1) {
    *left = before - 1;
    return false;
  }
  uint64_t range = 2 * (uint64_t)faults_per_sample - 1;
  *left = 1 + (bpf_get_prandom_u32() * range >> 32);
  return before == 1;
}

/* Its own frame: a copy of registers would not fit on the stack beside the
 * unwinder. Returns the code segment. */
static __noinline int read_user_registers(uint64_t task, uint32_t context) {
  struct unwind_state* state = unwind_state(context);
  return state ? (int)fill_user_registers(state, task) : 0;
}

static __noinline int sample_fault(bool user_mode) {
  uint64_t task = bpf_get_current_task();
  if (LOAD_HALF(task, task_struct, flags) & PPROFD_PF_KTHREAD) return 0;
  struct unwind_state* state = take_fault_state();
  if (!state) {
    count_loss(PPROFD_KIND_RSS, PPROFD_REASON_SCRATCH_MISSING);
    return 0;
  }
  fill_sample(state, task, PPROFD_KIND_RSS);
  struct pprofd_sample* sample = &state->sample;
  if (user_mode) sample->flags = PPROFD_SAMPLE_USER_MODE;
  sample->value[0] = faults_per_sample;
  sample->value[1] = faults_per_sample * page_bytes;
  check_known_mappings(state, task);
  uint64_t code_segment = read_user_registers(task, state->context);
  walk_task(state, task, user_mode, code_segment);
  finish_sample(state, finish_user(state));
  give_back_fault_state(state);
  return 0;
}

SEC("tp_btf/page_fault_user")
int BPF_PROG(rss_user, unsigned long address, struct pt_regs* regs,
             unsigned long error_code) {
  if (error_code & FAULT_PRESENT) return 0;
  if (is_sampled_fault()) sample_fault(true);
  return 0;
}

/* What the kernel touches for a program. Reads that must not fault, as those of
 * the unwinder, end here as well and make nothing resident. */
SEC("tp_btf/page_fault_kernel")
int BPF_PROG(rss_kernel, unsigned long address, struct pt_regs* regs,
             unsigned long error_code) {
  if (error_code & FAULT_PRESENT || (long)address < 0) return 0;
  uint64_t task = bpf_get_current_task();
  if (LOAD_HALF(task, task_struct, pagefault_disabled)) return 0;
  if (is_sampled_fault()) sample_fault(false);
  return 0;
}
