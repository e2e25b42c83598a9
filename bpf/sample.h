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

#endif /* PPROFD_BPF_SAMPLE_H_ */
