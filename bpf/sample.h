/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sample.h: starts, fills and sends a sample; the only user of the ring for
 * samples.
 */
#ifndef PPROFD_BPF_SAMPLE_H_
#define PPROFD_BPF_SAMPLE_H_

#include "unwind.h"

#define USER_CODE_32_BIT 0x23
#define RAW_PIECE_BYTES 4096
/* x86_64 without KASAN; only for kernels before 5.15, where no helper tells. */
#define KERNEL_STACK_BYTES 16384

/* Registers of the user half: where it was interrupted, or entered the kernel.
 * Returns the code segment. */
static __always_inline uint64_t fill_registers(struct unwind_state* state,
                                               const struct pt_regs* regs) {
  uint64_t* to = state->registers;
  to[0] = regs->rax;
  to[1] = regs->rdx;
  to[2] = regs->rcx;
  to[3] = regs->rbx;
  to[4] = regs->rsi;
  to[5] = regs->rdi;
  to[6] = regs->rbp;
  to[7] = regs->rsp;
  to[8] = regs->r8;
  to[9] = regs->r9;
  to[10] = regs->r10;
  to[11] = regs->r11;
  to[12] = regs->r12;
  to[13] = regs->r13;
  to[14] = regs->r14;
  to[15] = regs->r15;
  to[16] = regs->rip;
  return regs->cs;
}

/* The same, of a task that is in the kernel. */
static __always_inline uint64_t fill_user_registers(struct unwind_state* state,
                                                    uint64_t task) {
  struct pt_regs regs = {};
  const void* saved;
  if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)) {
    saved = (const void*)bpf_task_pt_regs(bpf_get_current_task_btf());
  } else {
    saved = (const void*)(LOAD_WORD(task, task_struct, stack) +
                          KERNEL_STACK_BYTES - sizeof(struct pt_regs));
  }
  bpf_probe_read_kernel(&regs, sizeof(regs), saved);
  return fill_registers(state, &regs);
}

static __always_inline void start_unwind(struct unwind_state* state) {
  state->pc = state->registers[16];
  state->sp = state->registers[7];
  state->bp = state->registers[6];
  state->is_return_address = 0;
  state->registers_known = 1;
  state->used_frame_pointer = 0;
  state->last_mapping = 0;
  state->window_bytes = 0;
}

/* Copies the mappings that frames name behind them; returns the words used so
 * far. */
static __always_inline uint32_t append_mappings(struct unwind_state* state,
                                                uint32_t words) {
  for (uint32_t i = 0; i < PPROFD_MAX_SAMPLE_MAPPINGS; i++) {
    if (words > RECORD_FRONT_WORDS - 4) break;
    /* No branch on what is used: the verifier would follow every pattern. */
    uint32_t used = state->used_mappings >> i & 1;
    __builtin_memcpy(&state->record[words], &state->mappings[i].mapping,
                     sizeof(struct pprofd_mapping));
    words += used * (sizeof(struct pprofd_mapping) / 8);
    state->sample.mapping_count += used;
  }
  return words;
}

/* Copies registers and stack, page by page up to where it ends. */
static __always_inline uint32_t append_raw_stack(struct unwind_state* state,
                                                 uint32_t words) {
  if (words > RECORD_FRONT_WORDS + PPROFD_MAX_KERNEL_FRAMES) return words;
  __builtin_memcpy(&state->record[words], state->registers,
                   sizeof(state->registers));
  words += PPROFD_REGISTERS;
  uint64_t from = state->registers[7];
  uint64_t copied = 0;
  uint8_t* to = (uint8_t*)&state->record[words];
  for (int i = 0; i < PPROFD_RAW_STACK_BYTES / RAW_PIECE_BYTES; i++) {
    uint64_t bytes = RAW_PIECE_BYTES - (from & (RAW_PIECE_BYTES - 1));
    bytes &= 2 * RAW_PIECE_BYTES - 8;
    if (bytes > RAW_PIECE_BYTES ||
        copied > PPROFD_RAW_STACK_BYTES - RAW_PIECE_BYTES) {
      break;
    }
    if (bpf_probe_read_user(to + copied, bytes, (const void*)from)) break;
    copied += bytes;
    from += bytes;
  }
  state->sample.raw_stack_bytes = copied;
  state->sample.flags |= PPROFD_SAMPLE_RAW_STACK;
  return words + (copied >> 3);
}

static __always_inline bool is_inside_exec(uint64_t task) {
  return BPF_CORE_READ_BITFIELD_PROBED((struct task_struct*)task, in_execve);
}

static __always_inline bool wants_raw_stack(const struct unwind_state* state) {
  return state->result == PPROFD_UNWIND_TRUNCATED &&
         (state->reason == PPROFD_REASON_MODULE_PENDING ||
          state->reason == PPROFD_REASON_UNSUPPORTED_RULE);
}

static __always_inline void send_sample(struct unwind_state* state,
                                        uint32_t words) {
  uint64_t size = sizeof(struct pprofd_sample) + words * 8ULL;
  /* clang knows that this holds; the verifier of 6.1 does not: keep it. */
  barrier_var(size);
  if (size > sizeof(struct pprofd_sample) + sizeof(state->record)) return;
  state->sample.header.size = size;
  if (bpf_ringbuf_output(&events, &state->sample, size, ring_wakeup())) {
    count_loss(state->sample.kind, PPROFD_REASON_RING_FULL);
  }
}

static __always_inline void fill_sample(struct unwind_state* state,
                                        uint64_t task, uint32_t kind) {
  struct pprofd_sample* sample = &state->sample;
  uint64_t leader = LOAD_WORD(task, task_struct, group_leader);
  uint64_t ids = bpf_get_current_pid_tgid();
  sample->header.version = PPROFD_ABI_VERSION;
  sample->header.kind = PPROFD_EVENT_SAMPLE;
  sample->header.time_ns = bpf_ktime_get_boot_ns();
  sample->tgid = ids >> 32;
  sample->tid = (uint32_t)ids;
  sample->start_time_ns = LOAD_WORD(leader, task_struct, start_boottime);
  sample->cgroup_id = bpf_get_current_cgroup_id();
  sample->cpu = bpf_get_smp_processor_id();
  sample->capture = 0;
  sample->address = 0;
  sample->flags = 0;
  sample->raw_stack_bytes = 0;
  sample->kind = kind;
  bpf_get_current_comm(sample->comm, sizeof(sample->comm));
  state->tgid = sample->tgid;
  state->start_time_ns = sample->start_time_ns;
  state->mm = LOAD_WORD(task, task_struct, mm);
  state->frame_count = 0;
  state->used_mappings = 0;
  state->result = PPROFD_UNWIND_NONE;
  state->reason = PPROFD_REASON_NONE;
  state->reason_module = 0;
}

/* Walks the user half from the state's registers to its root. */
static __always_inline void walk_user(struct unwind_state* state) {
  uint32_t context = state->context;
  for (int i = 0; i <= PPROFD_MAX_USER_FRAMES; i++) {
    if (unwind_step(context) != STEP_MORE) break;
  }
}

/* The same of a task as it was interrupted, or entered the kernel. */
static __always_inline void walk_task(struct unwind_state* state, uint64_t task,
                                      bool user_mode, uint64_t code_segment) {
  start_unwind(state);
  /* The kernel's own threads of a process (io_uring, vhost) never were in user
   * mode, and say so by registers of zero. */
  if (!user_mode && !state->pc && !state->sp) return;
  if (code_segment == USER_CODE_32_BIT) {
    state->result = PPROFD_UNWIND_TRUNCATED;
    state->reason = PPROFD_REASON_COMPAT_TASK;
    return;
  }
  walk_user(state);
  if (!user_mode && state->result == PPROFD_UNWIND_TRUNCATED &&
      is_inside_exec(task)) {
    state->reason = PPROFD_REASON_IN_EXEC;
  }
}

/* Puts the user half and its mappings together; returns the words used. */
static __always_inline uint32_t finish_user(struct unwind_state* state) {
  struct pprofd_sample* sample = &state->sample;
  uint32_t words = state->frame_count;
  if (words > PPROFD_MAX_USER_FRAMES) words = PPROFD_MAX_USER_FRAMES;
  sample->user_frame_count = words;
  sample->mapping_count = 0;
  sample->kernel_frame_count = 0;
  sample->unwind_result = state->result;
  sample->truncate_reason = state->reason;
  sample->truncate_module = state->reason_module;
  return append_mappings(state, words);
}

/* Sends the sample, with what the daemon needs to go on where this half could
 * not. */
static __always_inline void finish_sample(struct unwind_state* state,
                                          uint32_t words) {
  if (wants_raw_stack(state)) {
    /* The daemon counts if it does not arrive either. */
    words = append_raw_stack(state, words);
  } else if (state->result == PPROFD_UNWIND_TRUNCATED) {
    count_reason(state->reason);
  }
  send_sample(state, words);
}

#endif /* PPROFD_BPF_SAMPLE_H_ */
