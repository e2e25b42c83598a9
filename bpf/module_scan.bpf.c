// SPDX-License-Identifier: GPL-2.0-only
/*
 * module_scan.bpf.c: gives a number to every file that is mapped executable
 * when pprofd starts, so that their tables are ready before their first sample;
 * and lets the daemon check that the VMA walk fits this kernel.
 */
#include "unwind.h"

SEC("iter/task_vma")
int scan_modules(struct bpf_iter__task_vma* ctx) {
  uint64_t vma = (uint64_t)ctx->vma;
  uint64_t task = (uint64_t)ctx->task;
  if (!vma || !task) return 0;
  if (!(LOAD_WORD(vma, vm_area_struct, vm_flags) & PPROFD_VM_EXEC)) return 0;
  uint64_t file = LOAD_WORD(vma, vm_area_struct, vm_file);
  if (!file) return 0;
  uint64_t leader = LOAD_WORD(task, task_struct, group_leader);
  uint32_t reason = 0;
  module_of(SCRATCH_SCAN, vma, file, LOAD_HALF(task, task_struct, tgid),
            LOAD_WORD(leader, task_struct, start_boottime), BPF_RB_NO_WAKEUP,
            &reason);
  return 0;
}

/* Result of find_mapping_once: [start, limit) and vDSO of the caller. */
uint64_t found_mapping[3] = {};

/* Run once by the daemon, with an address of its own as first argument. */
SEC("raw_tp")
int find_mapping_once(struct bpf_raw_tracepoint_args* ctx) {
  uint64_t mm = LOAD_WORD(bpf_get_current_task(), task_struct, mm);
  uint64_t vma = find_vma(mm, ctx->args[0]);
  found_mapping[0] = vma ? LOAD_WORD(vma, vm_area_struct, vm_start) : 0;
  found_mapping[1] = vma ? LOAD_WORD(vma, vm_area_struct, vm_end) : 0;
  found_mapping[2] = LOAD_WORD(mm, mm_struct, context.vdso);
  return 0;
}
