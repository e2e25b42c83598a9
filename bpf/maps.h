/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * maps.h: all BPF maps: who writes, who reads, the bound, what "full" means.
 */
#ifndef PPROFD_BPF_MAPS_H_
#define PPROFD_BPF_MAPS_H_

/* libbpf's headers want the kernel's types before them. */
/* clang-format off */
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi.h"
/* clang-format on */

/* Samples and process events. Writer: all programs. Reader: event_reader.
 * Bound: bytes set by the daemon (rate x CPUs). Full: the event is dropped and
 * counted under RING_FULL. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} events SEC(".maps");

/* Losses and cuts by reason. Writer: all programs, per CPU. Reader: daemon.
 * Index: numbers of drop_reasons.def; 0 counts idle ticks. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, PPROFD_MAX_REASONS);
  __type(key, uint32_t);
  __type(value, uint64_t);
} reasons SEC(".maps");

/* Samples, and frees of sampled blocks, that did not get into the ring, by
 * kind. Writer: all programs, per CPU. Reader: daemon. Index: PPROFD_KIND_*. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, PPROFD_KINDS);
  __type(key, uint32_t);
  __type(value, uint64_t);
} losses SEC(".maps");

/* Executed files. Writer: programs add a number without a table, table_loader
 * adds the table and removes. Reader: unwinder.
 * Full: frames of further files carry MODULE_TABLE_FULL. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, PPROFD_MAX_MODULES);
  __type(key, struct pprofd_file_key);
  __type(value, struct pprofd_module);
} modules SEC(".maps");

/* Fresh module numbers. Writer: daemon. Reader: programs, one at a time.
 * Empty: NUMBERS_EXHAUSTED; the file's next sample asks again. */
struct {
  __uint(type, BPF_MAP_TYPE_QUEUE);
  __uint(max_entries, 4096);
  __type(value, uint32_t);
} numbers SEC(".maps");

/* Unwind rows: the chunk space of abi.h. Writer: table_loader, through mmap.
 * Reader: unwinder. Bound: PPROFD_MAX_CHUNKS chunks, and the byte budget. */
struct chunk_map {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, uint32_t);
  __type(value, uint8_t[PPROFD_CHUNK_BYTES]);
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, PPROFD_MAX_CHUNKS);
  __type(key, uint32_t);
  __array(values, struct chunk_map);
} chunks SEC(".maps");

/* Unwind rules by number, all in one value.
 * Writer: table_loader, through mmap. Reader: unwinder. */
struct rule_table {
  struct pprofd_unwind_rule rules[PPROFD_MAX_RULES];
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, uint32_t);
  __type(value, struct rule_table);
} rules SEC(".maps");

/* Sampled blocks that were not freed yet, with the time of their sample, which
 * is their name. Writer: heap programs; the daemon removes those of processes
 * that it tracks no more. Full: LIVE_BLOCKS_FULL; the sample says so. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, PPROFD_MAX_LIVE_BLOCKS);
  __type(key, struct pprofd_live_block);
  __type(value, uint64_t);
} live_blocks SEC(".maps");

/* Calls of each heap target. Writer: heap programs. Reader and, when a target
 * begins, writer: daemon. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, PPROFD_MAX_HEAP_TARGETS);
  __type(key, uint32_t);
  __type(value, struct pprofd_heap_counts);
} heap_counts SEC(".maps");

static __always_inline void count_reason(uint32_t reason) {
  uint64_t* counter = bpf_map_lookup_elem(&reasons, &reason);
  if (counter) *counter += 1;
}

/* A sample of this kind is lost. */
static __always_inline void count_loss(uint32_t kind, uint32_t reason) {
  count_reason(reason);
  uint64_t* counter = bpf_map_lookup_elem(&losses, &kind);
  if (counter) *counter += 1;
}

#endif /* PPROFD_BPF_MAPS_H_ */
