// SPDX-License-Identifier: GPL-2.0-only
/*
 * cpu.bpf.c: a sample of whatever runs when a CPU clock ticks.
 */
#include "sample.h"

static __always_inline uint64_t copy_interrupted_registers(
    struct unwind_state* state, struct bpf_perf_event_data* ctx) {
  /* Each field is read through a volatile pointer: the verifier refuses the
   * merged context accesses that clang would make otherwise. */
  volatile struct pt_regs* from = (volatile struct pt_regs*)&ctx->regs;
  uint64_t* to = state->registers;
  to[0] = from->rax;
  to[1] = from->rdx;
  to[2] = from->rcx;
  to[3] = from->rbx;
  to[4] = from->rsi;
  to[5] = from->rdi;
  to[6] = from->rbp;
  to[7] = from->rsp;
  to[8] = from->r8;
  to[9] = from->r9;
  to[10] = from->r10;
  to[11] = from->r11;
  to[12] = from->r12;
  to[13] = from->r13;
  to[14] = from->r14;
  to[15] = from->r15;
  to[16] = from->rip;
  return from->cs;
}

static __always_inline void unwind_user(struct unwind_state* state,
                                        uint64_t task, bool user_mode,
                                        uint64_t code_segment) {
  uint32_t flags = LOAD_HALF(task, task_struct, flags);
  if (flags & PPROFD_PF_KTHREAD) return;
  if (!state->mm) {
    /* Else it is the kernel's own still, to become a program by exec. */
    if (flags & PPROFD_PF_EXITING) {
      state->result = PPROFD_UNWIND_TRUNCATED;
      state->reason = PPROFD_REASON_EXITING;
    }
    return;
  }
  check_known_mappings(state, task);
  if (!user_mode) code_segment = fill_user_registers(state, task);
  walk_task(state, task, user_mode, code_segment);
}

static __always_inline void take_sample(struct bpf_perf_event_data* ctx,
                                        uint32_t capture, uint64_t period_ns) {
  struct unwind_state* state = unwind_state(CONTEXT_TIMER);
  if (!state) {
    count_loss(PPROFD_KIND_CPU, PPROFD_REASON_SCRATCH_MISSING);
    return;
  }
  uint64_t task = bpf_get_current_task();
  fill_sample(state, task, PPROFD_KIND_CPU);
  struct pprofd_sample* sample = &state->sample;
  sample->capture = capture;
  sample->value[0] = 1;
  sample->value[1] = period_ns;

  uint64_t code_segment = copy_interrupted_registers(state, ctx);
  bool user_mode = (code_segment & 3) == 3;
  if (user_mode) sample->flags |= PPROFD_SAMPLE_USER_MODE;
  unwind_user(state, task, user_mode, code_segment);

  uint32_t words = finish_user(state);
  if (!user_mode && words <= RECORD_FRONT_WORDS) {
    long bytes = bpf_get_stack(ctx, &state->record[words],
                               PPROFD_MAX_KERNEL_FRAMES * 8, 0);
    if (bytes > 0 && bytes <= PPROFD_MAX_KERNEL_FRAMES * 8) {
      sample->kernel_frame_count = bytes >> 3;
      words += bytes >> 3;
    }
  }
  finish_sample(state, words);
}

/* Always-on sampling: one event per CPU. */
SEC("perf_event")
int cpu(struct bpf_perf_event_data* ctx) {
  uint32_t idle_tick = 0;
  if ((uint32_t)bpf_get_current_pid_tgid() == 0) {
    count_reason(idle_tick);
    return 0;
  }
  take_sample(ctx, 0, ctx->sample_period);
  return 0;
}

static __always_inline bool is_captured(uint32_t tgid, uint64_t period_ns) {
  uint64_t first = pprofd_capture_bucket(tgid, period_ns);
  bool found = false;
  for (uint32_t i = 0; i < PPROFD_CAPTURE_BUCKET_SLOTS; i++) {
    const volatile struct pprofd_capture_slot* slot =
        &capture_slots[(first + i) & (PPROFD_CAPTURE_SLOTS - 1)];
    found |= slot->in_use && slot->tgid == tgid && slot->period_ns == period_ns;
  }
  return found;
}

/* Waiting queries: one event per CPU and rate, for the processes asked for. */
SEC("perf_event")
int cpu_capture(struct bpf_perf_event_data* ctx) {
  uint64_t ids = bpf_get_current_pid_tgid();
  if ((uint32_t)ids == 0) return 0;
  uint64_t period_ns = ctx->sample_period;
  if (is_captured(ids >> 32, period_ns) ||
      (whole_host_captures && is_captured(0, period_ns))) {
    take_sample(ctx, 1, period_ns);
  }
  return 0;
}
