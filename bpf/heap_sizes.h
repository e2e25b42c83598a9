/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * heap_sizes.h: the classes in which blocks are counted by their size.
 *
 * Each ends at a power of two, which belongs to it, as programs ask for such
 * sizes: up to 8 bytes, 9 to 16, 17 to 32, and so on; the last has no end.
 * Pure; compiles natively, too.
 */
#ifndef PPROFD_BPF_HEAP_SIZES_H_
#define PPROFD_BPF_HEAP_SIZES_H_

#ifdef __cplusplus
#include <cstdint>
#elif !defined(__bpf__)
#include <stdint.h>
#endif

#define PPROFD_HEAP_SIZE_CLASSES 32

/* Below PPROFD_HEAP_SIZE_CLASSES. */
static inline uint32_t pprofd_size_class(uint64_t bytes) {
  if (bytes <= 8) return 0;
  /* The number of its bits is the class. */
  uint64_t units = (bytes - 1) >> 3;
  if (units >> (PPROFD_HEAP_SIZE_CLASSES - 2)) {
    return PPROFD_HEAP_SIZE_CLASSES - 1;
  }
  uint32_t bits = 0;
#define PPROFD_STEP(count) \
  if (units >> (count)) {  \
    units >>= (count);     \
    bits += (count);       \
  }
  PPROFD_STEP(16)
  PPROFD_STEP(8)
  PPROFD_STEP(4)
  PPROFD_STEP(2)
  PPROFD_STEP(1)
#undef PPROFD_STEP
  return bits + 1;
}

/* REQUIRES: size_class < PPROFD_HEAP_SIZE_CLASSES. */
static inline uint64_t pprofd_size_class_first(uint32_t size_class) {
  return size_class == 0 ? 0 : (4ULL << size_class) + 1;
}

/* As far as an allocator goes: 47 bits. REQUIRES: as before. */
static inline uint64_t pprofd_size_class_last(uint32_t size_class) {
  return size_class == PPROFD_HEAP_SIZE_CLASSES - 1 ? (1ULL << 47) - 1
                                                    : 8ULL << size_class;
}

#endif /* PPROFD_BPF_HEAP_SIZES_H_ */
