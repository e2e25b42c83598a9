/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * settings.h: what the daemon tells the programs, and shared state.
 *
 * The read-only half is frozen at load, so that the verifier drops what is off;
 * the rest is written by the daemon through the mapped .bss.
 */
#ifndef PPROFD_BPF_SETTINGS_H_
#define PPROFD_BPF_SETTINGS_H_

#include "maps.h"

/* Forced wake-up of the reader when this many bytes wait in the ring. */
const volatile uint64_t wakeup_bytes = 0;
/* Page faults that a sample of them stands for, and bytes that each maps. */
const volatile uint32_t faults_per_sample = 1;
const volatile uint64_t page_bytes = 4096;

/* The vDSO's table, published like a module's. Writer: table_loader. */
struct pprofd_module vdso_module = {};
/* Grows every few seconds; modules remember when they were last used. */
uint32_t epoch = 0;
/* Grows behind every change of the modules map, the vDSO's table and the epoch:
 * what was read before may no longer hold. Writers: daemon and module.h. */
uint32_t modules_version = 0;

/* Running captures (abi.h). Writer: capture_slots. Full: a further capture is
 * refused. */
struct pprofd_capture_slot capture_slots[PPROFD_CAPTURE_SLOTS]
    __attribute__((aligned(64))) = {};
uint32_t whole_host_captures = 0;

/* Processes whose allocations are sampled (abi.h). Writer: daemon. */
struct pprofd_heap_target heap_targets[PPROFD_MAX_HEAP_TARGETS] = {};
uint32_t heap_targets_open = 0; /* how many have a process */
/* Numbers given to processes with the preload library; the daemon counts on it,
 * too. */
uint32_t preload_trackings = 0;

/* Wakes the reader, which polls, only when the ring is filling. */
static __always_inline uint64_t ring_wakeup(void) {
  uint64_t waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
  return waiting >= wakeup_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

#endif /* PPROFD_BPF_SETTINGS_H_ */
