/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vma_tree.h: finds the mapping around an address in a live VMA tree.
 *
 * Lock-free: the program runs under RCU, every node is read once, and the VMA
 * found is checked against the address. A lookup that raced with a change of
 * the tree may miss; the caller tries once more. Maple tree from 6.1 on (node
 * layout: include/linux/maple_tree.h), red-black tree before.
 */
#ifndef PPROFD_BPF_VMA_TREE_H_
#define PPROFD_BPF_VMA_TREE_H_

#include "kernel_memory.h"

#define MAPLE_MAX_DEPTH 12
#define RB_MAX_DEPTH 48

/* A tagged pointer to a node: bits 6..3 hold its type; the root's has bit 1
 * set, else it would be the only entry of the tree. */
#define MAPLE_IS_ROOT_NODE(entry) (((entry) & 3) == 2)
#define MAPLE_LOWEST_NODE 4096
#define MAPLE_NODE(entry) ((entry) & ~255ULL)
#define MAPLE_TYPE(entry) (((entry) >> 3) & 15)
#define MAPLE_LEAF_64 1
#define MAPLE_RANGE_64 2
#define MAPLE_ARANGE_64 3

static __always_inline uint64_t vma_from_maple(uint64_t mm, uint64_t address) {
  uint64_t entry = LOAD_WORD(mm, mm_struct, mm_mt.ma_root);
  if (!MAPLE_IS_ROOT_NODE(entry)) return 0;
  for (int depth = 0; depth < MAPLE_MAX_DEPTH; depth++) {
    if (entry < MAPLE_LOWEST_NODE) return 0;
    uint64_t node = MAPLE_NODE(entry);
    uint64_t type = MAPLE_TYPE(entry);
    uint32_t pivots = 15;
    uint64_t pivot = node + bpf_core_field_offset(struct maple_range_64, pivot);
    uint64_t slot = node + bpf_core_field_offset(struct maple_range_64, slot);
    if (type == MAPLE_ARANGE_64) {
      pivots = 9;
      pivot = node + bpf_core_field_offset(struct maple_arange_64, pivot);
      slot = node + bpf_core_field_offset(struct maple_arange_64, slot);
    }
    for (uint32_t i = 0; i < 15; i++) {
      if (i >= pivots) break;
      uint64_t last = load_word(pivot);
      /* A pivot of zero behind the first ends the used part of the node. */
      if (last >= address || (last == 0 && i > 0)) break;
      pivot += 8;
      slot += 8;
    }
    entry = load_word(slot);
    if (type == MAPLE_LEAF_64) return entry;
    if (type != MAPLE_RANGE_64 && type != MAPLE_ARANGE_64) return 0;
  }
  return 0;
}

static __always_inline uint64_t vma_from_rb_tree(uint64_t mm,
                                                 uint64_t address) {
  uint64_t node = LOAD_WORD(mm, mm_struct___to_6_0, mm_rb.rb_node);
  uint64_t shift = bpf_core_field_offset(struct vm_area_struct___to_6_0, vm_rb);
  for (int depth = 0; depth < RB_MAX_DEPTH; depth++) {
    if (!node) return 0;
    uint64_t vma = node - shift;
    if (LOAD_WORD(vma, vm_area_struct, vm_end) > address) {
      if (LOAD_WORD(vma, vm_area_struct, vm_start) <= address) return vma;
      node = LOAD_WORD(node, rb_node, rb_left);
    } else {
      node = LOAD_WORD(node, rb_node, rb_right);
    }
  }
  return 0;
}

/* Address of the vm_area_struct around `address`, 0 when there is none. */
static __always_inline uint64_t find_vma(uint64_t mm, uint64_t address) {
  uint64_t vma = bpf_core_type_exists(struct maple_range_64)
                     ? vma_from_maple(mm, address)
                     : vma_from_rb_tree(mm, address);
  if (!vma || LOAD_WORD(vma, vm_area_struct, vm_start) > address ||
      LOAD_WORD(vma, vm_area_struct, vm_end) <= address) {
    return 0;
  }
  return vma;
}

#endif /* PPROFD_BPF_VMA_TREE_H_ */
