/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * unwind_state.h: per-CPU scratch of one sample while it is unwound.
 *
 * Timer programs of a CPU do not interrupt each other and share one scratch.
 * Programs at page faults, which run with interrupts disabled, have another:
 * they interrupt the others, and are not interrupted. Probes are interrupted by
 * the timer, and may be preempted by another probe: they take one that is free.
 */
#ifndef PPROFD_BPF_UNWIND_STATE_H_
#define PPROFD_BPF_UNWIND_STATE_H_

#include "maps.h"

#define STACK_WINDOW_BYTES 2048
#define STACK_WINDOW_WORDS (STACK_WINDOW_BYTES / 8)

/* Words of the record behind its header: user frames, mappings, kernel frames,
 * registers, raw stack. */
#define RECORD_FRONT_WORDS \
  (PPROFD_MAX_USER_FRAMES + PPROFD_MAX_SAMPLE_MAPPINGS * 4)
#define RECORD_WORDS                                                      \
  (RECORD_FRONT_WORDS + PPROFD_MAX_KERNEL_FRAMES + 1 + PPROFD_REGISTERS + \
   PPROFD_RAW_STACK_BYTES / 8 + 512)

/* A mapping that was met, with what its module's table needs. */
struct known_mapping {
  struct pprofd_mapping mapping;
  struct pprofd_module module;
  /* The last page of its table that was used, and that page's piece. */
  uint64_t page;
  uint64_t piece;
};

/* What the known mappings are true of: as long as none of it changes, they may
 * serve the next sample, too. */
struct mappings_origin {
  uint64_t mm;
  uint64_t start_time_ns;
  uint64_t exec_id;
  uint32_t sequence;        /* from mm_struct.mm_lock_seq */
  uint32_t modules_version; /* settings.h */
};

/* Indexes of scratch. */
#define CONTEXT_TIMER 0
#define CONTEXT_FIRST_TASK 1
#define CONTEXT_FAULT 3
#define CONTEXTS 4

struct unwind_state {
  uint32_t context;
  uint32_t is_taken; /* by a program that has not ended */
  /* The frame to be unwound next. */
  uint64_t pc;
  uint64_t sp;
  uint64_t bp;
  uint32_t is_return_address;
  uint32_t registers_known; /* all of registers[] belong to this frame */
  uint32_t used_frame_pointer;
  uint32_t frame_count;
  uint32_t result;
  uint32_t reason;
  uint32_t reason_module;

  /* The process. */
  uint32_t tgid;
  uint64_t mm;
  uint64_t start_time_ns;

  struct mappings_origin origin;
  uint32_t mapping_count;
  uint32_t last_mapping;
  uint32_t used_mappings; /* bit n: this sample has a frame in mappings[n] */
  struct known_mapping mappings[PPROFD_MAX_SAMPLE_MAPPINGS];

  uint64_t registers[PPROFD_REGISTERS]; /* at the sample, DWARF order */

  uint64_t window_start;
  uint64_t window_bytes;
  uint64_t window[STACK_WINDOW_WORDS];

  struct pprofd_sample sample;
  uint64_t record[RECORD_WORDS];
};

/* Writer and reader: the sample being taken on this CPU. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, CONTEXTS);
  __type(key, uint32_t);
  __type(value, struct unwind_state);
} unwind_states SEC(".maps");

static __always_inline struct unwind_state* unwind_state(uint32_t context) {
  return bpf_map_lookup_elem(&unwind_states, &context);
}

/* Scratch for a probe; NULL when all of it is in use by programs that this one
 * has preempted. */
static __always_inline struct unwind_state* take_task_state(void) {
  for (uint32_t i = CONTEXT_FIRST_TASK; i < CONTEXT_FAULT; i++) {
    struct unwind_state* state = unwind_state(i);
    if (!state) return 0;
    if (__sync_val_compare_and_swap(&state->is_taken, 0, 1) == 0) {
      state->context = i;
      return state;
    }
  }
  return 0;
}

static __always_inline void give_back(struct unwind_state* state) {
  __sync_lock_test_and_set(&state->is_taken, 0);
}

/* Scratch for a program at a page fault. Without atomic instructions, which
 * kernels before 5.12 do not have. */
static __always_inline struct unwind_state* take_fault_state(void) {
  struct unwind_state* state = unwind_state(CONTEXT_FAULT);
  if (!state || state->is_taken) return 0;
  state->is_taken = 1;
  state->context = CONTEXT_FAULT;
  return state;
}

static __always_inline void give_back_fault_state(struct unwind_state* state) {
  state->is_taken = 0;
}

#endif /* PPROFD_BPF_UNWIND_STATE_H_ */
