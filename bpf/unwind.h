/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * unwind.h: walks the user half of a stack without frame pointers.
 *
 * unwind_step() is a global sub-program so that the verifier checks it once and
 * the loop around it stays cheap to verify; its state lives in per-CPU scratch.
 */
#ifndef PPROFD_BPF_UNWIND_H_
#define PPROFD_BPF_UNWIND_H_

#include "module.h"
#include "settings.h"
#include "unwind_state.h"
#include "unwind_table.h"
#include "vma_tree.h"

#define STEP_MORE 0
#define STEP_DONE 1

/* Below the wanted word some more are read, as the next reads go there, too. */
#define WINDOW_LEAD_BYTES 64
#define PAGE_MASK 4095ULL

/* Bit of mappings_origin.sequence: nothing may be kept. */
#define MAPPINGS_CHANGING 1u

#define UCONTEXT_RBP 120
#define UCONTEXT_RSP 160
#define UCONTEXT_RIP 168

/* Moves the window over `address`, clipped to its page: a read across the end
 * of the stack would fault, which costs ten windows. */
static __noinline int refill_window(struct unwind_state* state,
                                    uint64_t address) {
  uint64_t page = address & ~PAGE_MASK;
  uint64_t start = address - WINDOW_LEAD_BYTES;
  if (start < page) start = page;
  uint64_t bytes = page + PAGE_MASK + 1 - start;
  if (bytes > STACK_WINDOW_BYTES) bytes = STACK_WINDOW_BYTES;
  state->window_start = start;
  state->window_bytes = 0;
  if (bpf_probe_read_user(state->window, bytes, (const void*)start)) return -1;
  state->window_bytes = bytes;
  return 0;
}

static __always_inline int read_stack(struct unwind_state* state,
                                      uint64_t address, uint64_t* word) {
  if (address & 7) {
    return bpf_probe_read_user(word, sizeof(*word), (const void*)address);
  }
  uint64_t offset = address - state->window_start;
  if (offset >= state->window_bytes) {
    if (refill_window(state, address)) return -1;
    offset = address - state->window_start;
  }
  *word = state->window[(offset >> 3) & (STACK_WINDOW_WORDS - 1)];
  return 0;
}

static __always_inline int truncate_stack(struct unwind_state* state,
                                          uint32_t reason, uint32_t module) {
  state->result = PPROFD_UNWIND_TRUNCATED;
  state->reason = reason;
  state->reason_module = module;
  return STEP_DONE;
}

static __always_inline int reach_root(struct unwind_state* state) {
  state->result =
      state->used_frame_pointer ? PPROFD_UNWIND_MIXED : PPROFD_UNWIND_COMPLETE;
  return STEP_DONE;
}

static __always_inline void fill_mapping(struct unwind_state* state,
                                         struct known_mapping* known,
                                         uint64_t vma,
                                         const struct pprofd_module* module) {
  known->mapping.start = LOAD_WORD(vma, vm_area_struct, vm_start);
  known->mapping.limit = LOAD_WORD(vma, vm_area_struct, vm_end);
  known->mapping.file_offset = LOAD_WORD(vma, vm_area_struct, vm_pgoff) << 12;
  known->mapping.module = 0;
  known->mapping.reserved = 0;
  known->module.number = 0;
  known->page = NO_PAGE;
  if (module) {
    known->module = *module;
    known->mapping.module = known->module.number;
  }
}

/* Forgets the known mappings unless they hold for this sample, too. */
static __always_inline void check_known_mappings(struct unwind_state* state,
                                                 uint64_t task) {
  struct mappings_origin now = {
      .mm = state->mm,
      .start_time_ns = state->start_time_ns,
      .exec_id = LOAD_WORD(task, task_struct, self_exec_id),
      .sequence = MAPPINGS_CHANGING,
      .modules_version = modules_version,
  };
  if (bpf_core_field_exists(struct mm_struct___now, mm_lock_seq)) {
    now.sequence = LOAD_HALF(state->mm, mm_struct___now, mm_lock_seq);
  } else if (bpf_core_field_exists(struct mm_struct___to_6_13, mm_lock_seq)) {
    now.sequence = LOAD_HALF(state->mm, mm_struct___to_6_13, mm_lock_seq) << 1;
  }
  struct mappings_origin* origin = &state->origin;
  if ((now.sequence & MAPPINGS_CHANGING) || origin->mm != now.mm ||
      origin->start_time_ns != now.start_time_ns ||
      origin->exec_id != now.exec_id || origin->sequence != now.sequence ||
      origin->modules_version != now.modules_version) {
    *origin = now;
    state->mapping_count = 0;
    state->mappings[0].mapping.start = 0;
    state->mappings[0].mapping.limit = 0;
  }
}

/* Where to put a further mapping: behind the others, or over one that no frame
 * of this sample is in. */
static __always_inline uint32_t free_place(struct unwind_state* state) {
  uint32_t count = state->mapping_count;
  if (count < PPROFD_MAX_SAMPLE_MAPPINGS) {
    state->mapping_count = count + 1;
    return count;
  }
  for (uint32_t i = 0; i < PPROFD_MAX_SAMPLE_MAPPINGS; i++) {
    if (!(state->used_mappings >> i & 1)) return i;
  }
  return PPROFD_MAX_SAMPLE_MAPPINGS - 1;
}

/* Puts the mapping around `address` behind the known ones; returns its index,
 * or -reason. */
__noinline int add_mapping(uint32_t context, uint64_t address) {
  struct unwind_state* state = unwind_state(context);
  if (!state) return -PPROFD_REASON_SCRATCH_MISSING;
  uint64_t vma = find_vma(state->mm, address);
  if (!vma) vma = find_vma(state->mm, address);
  if (!vma) return -PPROFD_REASON_NO_MAPPING;
  if (!(LOAD_WORD(vma, vm_area_struct, vm_flags) & PPROFD_VM_EXEC)) {
    return -PPROFD_REASON_NOT_EXECUTABLE;
  }
  struct pprofd_module* module = 0;
  uint64_t file = LOAD_WORD(vma, vm_area_struct, vm_file);
  if (file) {
    uint32_t reason = PPROFD_REASON_MODULE_PENDING;
    module = module_of(context, vma, file, state->tgid, state->start_time_ns,
                       BPF_RB_FORCE_WAKEUP, &reason);
    if (!module) return -(int)reason;
    module->last_used_epoch = epoch;
  }
  uint32_t index = free_place(state);
  struct known_mapping* known =
      &state->mappings[index & (PPROFD_MAX_SAMPLE_MAPPINGS - 1)];
  fill_mapping(state, known, vma, module);
  if (!file &&
      known->mapping.start == LOAD_WORD(state->mm, mm_struct, context.vdso)) {
    known->mapping.file_offset = 0;
    known->mapping.module = PPROFD_MODULE_VDSO;
    known->module = vdso_module;
  }
  return index;
}

/* Index of the mapping around `address`, or -reason. */
static __always_inline int find_mapping(struct unwind_state* state,
                                        uint64_t address) {
  uint32_t index = state->last_mapping & (PPROFD_MAX_SAMPLE_MAPPINGS - 1);
  struct known_mapping* known = &state->mappings[index];
  if (address - known->mapping.start <
      known->mapping.limit - known->mapping.start) {
    return index;
  }
  for (index = 0; index < PPROFD_MAX_SAMPLE_MAPPINGS; index++) {
    if (index >= state->mapping_count) break;
    known = &state->mappings[index];
    if (address - known->mapping.start <
        known->mapping.limit - known->mapping.start) {
      return index;
    }
  }
  return add_mapping(state->context, address);
}

static __always_inline uint64_t file_frame(uint32_t module, uint64_t offset) {
  return PPROFD_FRAME_FILE << PPROFD_FRAME_KIND_SHIFT |
         ((uint64_t)module & PPROFD_FRAME_MODULE_MASK)
             << PPROFD_FRAME_MODULE_SHIFT |
         (offset & PPROFD_FRAME_OFFSET_MASK);
}

static __always_inline void append_frame(struct unwind_state* state,
                                         const struct known_mapping* known) {
  uint64_t frame = state->is_return_address ? PPROFD_FRAME_RETURN_BIT : 0;
  if (known->mapping.module) {
    frame |=
        file_frame(known->mapping.module, state->pc - known->mapping.start +
                                              known->mapping.file_offset);
  } else {
    frame |= PPROFD_FRAME_ADDRESS << PPROFD_FRAME_KIND_SHIFT |
             (state->pc & PPROFD_FRAME_ADDRESS_MASK);
  }
  state->record[state->frame_count & (PPROFD_MAX_USER_FRAMES - 1)] = frame;
  state->frame_count += 1;
}

/* Moves to the caller; a return address of zero ends the stack. */
static __always_inline int enter_caller(struct unwind_state* state, uint64_t pc,
                                        uint64_t sp, uint64_t bp) {
  state->pc = pc;
  state->sp = sp;
  state->bp = bp;
  state->is_return_address = 1;
  state->registers_known = 0;
  return pc ? STEP_MORE : reach_root(state);
}

/* Code without unwind rows: believe in rbp, and say so. Code of a file may also
 * switch stacks (Go's scheduler); then the caller must at least be code. */
static __always_inline int step_by_frame_pointer(struct unwind_state* state,
                                                 uint32_t module) {
  uint64_t bp = state->bp;
  uint64_t pc = 0, caller_bp = 0;
  bool switches_stack = bp < state->sp;
  state->used_frame_pointer = 1;
  if (bp == 0) return reach_root(state);
  if ((bp & 7) || (switches_stack && !module)) {
    return truncate_stack(
        state, module ? PPROFD_REASON_NO_ROWS : PPROFD_REASON_BAD_FRAME_POINTER,
        module);
  }
  if (read_stack(state, bp, &caller_bp) || read_stack(state, bp + 8, &pc)) {
    return truncate_stack(state, PPROFD_REASON_BAD_FRAME_POINTER, module);
  }
  if (switches_stack && pc && find_mapping(state, pc - 1) < 0) {
    return truncate_stack(state, PPROFD_REASON_NO_ROWS, module);
  }
  return enter_caller(state, pc, bp + 16, caller_bp);
}

/* The frame below is the kernel's signal frame: the interrupted registers. */
static __always_inline int step_by_signal_frame(struct unwind_state* state,
                                                uint32_t module) {
  uint64_t pc = 0, sp = 0, bp = 0;
  if (read_stack(state, state->sp + UCONTEXT_RBP, &bp) ||
      read_stack(state, state->sp + UCONTEXT_RSP, &sp) ||
      read_stack(state, state->sp + UCONTEXT_RIP, &pc)) {
    return truncate_stack(state, PPROFD_REASON_STACK_READ, module);
  }
  /* Nobody called the trampoline: its address is no return address, and neither
   * is the interrupted one. */
  state->record[(state->frame_count - 1) & (PPROFD_MAX_USER_FRAMES - 1)] &=
      ~PPROFD_FRAME_RETURN_BIT;
  int done = enter_caller(state, pc, sp, bp);
  state->is_return_address = 0;
  return done;
}

/* The canonical frame address by a rule; a reason when it cannot be had. */
static __always_inline uint32_t find_cfa(struct unwind_state* state,
                                         struct pprofd_unwind_rule rule,
                                         uint64_t* cfa) {
  int64_t offset = (int64_t)rule.cfa_off8 * 8;
  switch (rule.cfa_kind) {
    case PPROFD_CFA_RSP:
      *cfa = state->sp + offset;
      return 0;
    case PPROFD_CFA_RBP:
      *cfa = state->bp + offset;
      return 0;
    case PPROFD_CFA_RBP_DEREF:
      return read_stack(state, state->bp + offset, cfa)
                 ? PPROFD_REASON_STACK_READ
                 : 0;
    case PPROFD_CFA_RSP_DEREF:
      return read_stack(state, state->sp + offset, cfa)
                 ? PPROFD_REASON_STACK_READ
                 : 0;
    case PPROFD_CFA_PLT:
      *cfa =
          state->sp + 8 + ((int64_t)(state->pc & 15) >= rule.cfa_off8 ? 8 : 0);
      return 0;
    case PPROFD_CFA_REG:
      if (!state->registers_known || rule.cfa_reg >= PPROFD_REGISTERS) {
        return PPROFD_REASON_UNSUPPORTED_RULE;
      }
      *cfa = state->registers[rule.cfa_reg & 15] + offset;
      return 0;
  }
  return PPROFD_REASON_UNSUPPORTED_RULE;
}

static __always_inline int step_by_rule(struct unwind_state* state,
                                        struct pprofd_unwind_rule rule,
                                        uint32_t module) {
  uint64_t cfa = 0, pc = 0, bp = state->bp;
  uint32_t reason = find_cfa(state, rule, &cfa);
  if (reason) return truncate_stack(state, reason, module);
  if (cfa < state->sp) {
    return truncate_stack(state, PPROFD_REASON_STACK_ORDER, module);
  }
  if (rule.ra_kind == PPROFD_RA_RDI) {
    if (!state->registers_known) {
      return truncate_stack(state, PPROFD_REASON_UNSUPPORTED_RULE, module);
    }
    pc = state->registers[5];
  } else if (read_stack(state, cfa - 8, &pc)) {
    return truncate_stack(state, PPROFD_REASON_STACK_READ, module);
  }
  int64_t bp_offset = (int64_t)rule.rbp_off8 * 8;
  if (rule.rbp_kind == PPROFD_RBP_AT_CFA) {
    if (read_stack(state, cfa + bp_offset, &bp)) {
      return truncate_stack(state, PPROFD_REASON_STACK_READ, module);
    }
  } else if (rule.rbp_kind == PPROFD_RBP_AT_RBP) {
    if (read_stack(state, state->bp + bp_offset, &bp)) {
      return truncate_stack(state, PPROFD_REASON_STACK_READ, module);
    }
  }
  return enter_caller(state, pc, cfa, bp);
}

/* The same few places are met again and again, deep in one stack or in the next
 * sample: one look instead of five dependent ones. */
static __always_inline struct pprofd_unwind_rule find_rule(
    uint32_t context, struct known_mapping* known, uint64_t offset,
    uint32_t version) {
  struct pprofd_unwind_rule none = {};
  struct rule_cache* cache = bpf_map_lookup_elem(&rule_caches, &context);
  if (!cache) return none;
  uint64_t place = file_frame(known->mapping.module, offset);
  struct cached_rule* cached =
      &cache->entries[place * 0x9e3779b97f4a7c15ULL >> (64 - RULE_CACHE_SHIFT)];
  if (cached->place != place) {
    struct pprofd_unwind_rule rule =
        rule_by_number(find_rule_number(known, offset));
    /* The module may have been copied while it changed: then not for long. */
    if (modules_version == version) {
      cached->rule = rule;
      cached->place = place;
    }
    return rule;
  }
  return cached->rule;
}

/* Reads one frame further. */
__noinline int unwind_step(uint32_t context) {
  struct unwind_state* state = unwind_state(context);
  if (!state) return STEP_DONE;
  /* A return address may be the first byte behind the caller's code. */
  uint64_t lookup = state->pc - (state->is_return_address ? 1 : 0);
  int index = find_mapping(state, lookup);
  if (index < 0) return truncate_stack(state, -index, 0);
  if (state->frame_count >= PPROFD_MAX_USER_FRAMES) {
    return truncate_stack(state, PPROFD_REASON_FRAME_LIMIT, 0);
  }
  struct known_mapping* known =
      &state->mappings[index & (PPROFD_MAX_SAMPLE_MAPPINGS - 1)];
  state->last_mapping = index;
  state->used_mappings |= 1u << (index & (PPROFD_MAX_SAMPLE_MAPPINGS - 1));
  append_frame(state, known);

  uint32_t number = known->mapping.module;
  if (!number) return step_by_frame_pointer(state, 0);
  if (!(known->module.flags & PPROFD_MODULE_READY)) {
    return truncate_stack(state, PPROFD_REASON_MODULE_PENDING, number);
  }
  uint64_t offset = lookup - known->mapping.start + known->mapping.file_offset;
  struct pprofd_unwind_rule rule =
      find_rule(context, known, offset, state->origin.modules_version);
  if (rule.cfa_kind == PPROFD_CFA_RSP) return step_by_rule(state, rule, number);
  switch (rule.cfa_kind) {
    case PPROFD_CFA_NONE:
      if (offset >= known->module.entry_gap_start &&
          offset < known->module.entry_gap_limit) {
        return reach_root(state);
      }
      return step_by_frame_pointer(state, number);
    case PPROFD_CFA_END:
      return reach_root(state);
    case PPROFD_CFA_SIGNAL:
      return step_by_signal_frame(state, number);
  }
  return step_by_rule(state, rule, number);
}

#endif /* PPROFD_BPF_UNWIND_H_ */
