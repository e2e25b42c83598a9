/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kernel_memory.h: reading kernel structures by address.
 *
 * From 6.2 on a pointer may be cast to a kernel type and read like memory, at
 * 1 ns a word instead of the 9 ns of bpf_probe_read_kernel. Anonymous unions
 * refuse such a cast, so every word is read as the first field of a timespec64
 * (a type of every kernel: older ones refuse relocations against missing types,
 * even where clang moved them out of a branch that is never taken).
 */
#ifndef PPROFD_BPF_KERNEL_MEMORY_H_
#define PPROFD_BPF_KERNEL_MEMORY_H_

#include "maps.h"

void* bpf_rdonly_cast(const void* obj, uint32_t btf_id) __ksym __weak;

/* The 8 bytes at a kernel address; 0 when unreadable. */
static __always_inline uint64_t load_word(uint64_t address) {
  if (bpf_ksym_exists(bpf_rdonly_cast)) {
    struct timespec64* time = bpf_rdonly_cast(
        (const void*)address, bpf_core_type_id_kernel(struct timespec64));
    return time->tv_sec;
  }
  uint64_t word = 0;
  bpf_probe_read_kernel(&word, sizeof(word), (const void*)address);
  return word;
}

#define LOAD_WORD(address, type, field) \
  load_word((address) + bpf_core_field_offset(struct type, field))
#define LOAD_HALF(address, type, field) \
  ((uint32_t)LOAD_WORD(address, type, field))

#endif /* PPROFD_BPF_KERNEL_MEMORY_H_ */
