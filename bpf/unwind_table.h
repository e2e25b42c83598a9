/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * unwind_table.h: the rule that holds at a file offset (format: abi.h).
 *
 * Two dependent loads reach a row block, and eight rows are compared per word,
 * without branches on their values.
 */
#ifndef PPROFD_BPF_UNWIND_TABLE_H_
#define PPROFD_BPF_UNWIND_TABLE_H_

#include "unwind_state.h"

#define NO_PAGE UINT64_MAX

#define BYTES_01 0x0101010101010101ULL
#define BYTES_80 0x8080808080808080ULL

/* How many of the eight bytes of `word` are <= the byte repeated in `wanted`.
 */
static __always_inline uint64_t count_bytes_up_to(uint64_t word,
                                                  uint64_t wanted) {
  uint64_t low = ((wanted | BYTES_80) - (word & ~BYTES_80));
  uint64_t up_to = ((~word & wanted) | (~(word ^ wanted) & low)) & BYTES_80;
  return ((up_to >> 7) * BYTES_01) >> 56;
}

static __always_inline uint8_t* chunk_at(uint64_t offset) {
  uint32_t index = offset >> PPROFD_CHUNK_SHIFT;
  uint32_t zero = 0;
  void* chunk = bpf_map_lookup_elem(&chunks, &index);
  return chunk ? bpf_map_lookup_elem(chunk, &zero) : 0;
}

#define LOAD_AT(type, chunk, offset) \
  (*(type*)((chunk) + ((offset) & (PPROFD_CHUNK_BYTES - sizeof(type)))))

/* Offset of the piece of a page in the chunk space, 0 = no rows. */
static __always_inline uint64_t find_piece(const struct pprofd_module* module,
                                           uint64_t page) {
  page -= module->first_page;
  if (page >= module->page_count || !module->directory) return 0;
  uint64_t entry_offset =
      (uint64_t)module->directory * PPROFD_REFERENCE_UNIT + page * 4;
  uint8_t* chunk = chunk_at(entry_offset);
  return chunk ? (uint64_t)LOAD_AT(uint32_t, chunk, entry_offset) *
                     PPROFD_REFERENCE_UNIT
               : 0;
}

/* Number of the rule at `file_offset`, 0 = no unwind information. */
static __always_inline uint32_t find_rule_number(struct known_mapping* known,
                                                 uint64_t file_offset) {
  uint64_t page = file_offset >> PPROFD_PAGE_SHIFT;
  if (known->page != page) {
    known->page = page;
    known->piece = find_piece(&known->module, page);
  }
  uint64_t piece = known->piece;
  if (!piece) return 0;
  uint8_t* chunk = chunk_at(piece);
  if (!chunk) return 0;
  uint64_t granule = (file_offset >> PPROFD_GRANULE_SHIFT) & 255;
  uint32_t entry = LOAD_AT(uint32_t, chunk, piece + granule * 4);
  if (entry & PPROFD_GRANULE_ONE_RULE) return entry & 0xffff;

  uint64_t block = piece + (uint64_t)(entry & PPROFD_GRANULE_BLOCK_MASK) * 8;
  uint32_t words =
      ((entry >> PPROFD_GRANULE_WORDS_SHIFT) & PPROFD_GRANULE_WORDS_MASK) + 1;
  uint64_t wanted = (file_offset & 255) * BYTES_01;
  uint64_t rows = 0;
  for (uint32_t i = 0; i < PPROFD_MAX_BLOCK_WORDS; i++) {
    if (i >= words) break;
    uint64_t count =
        count_bytes_up_to(LOAD_AT(uint64_t, chunk, block + i * 8), wanted);
    rows += count;
    if (count < 8) break;
  }
  if (rows == 0) return 0;
  return LOAD_AT(uint16_t, chunk, block + words * 8 + (rows - 1) * 2);
}

/* The rule at a place in a file. Never out of date: module numbers are not used
 * again, and a table does not change once it is there. */
struct cached_rule {
  uint64_t place; /* bits of a frame: kind, module, offset */
  struct pprofd_unwind_rule rule;
};
#define RULE_CACHE_SHIFT 10
struct rule_cache {
  struct cached_rule entries[1u << RULE_CACHE_SHIFT];
};

/* By context. Writer and reader: the sample being taken on this CPU. Full:
 * overwritten. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, CONTEXTS);
  __type(key, uint32_t);
  __type(value, struct rule_cache);
} rule_caches SEC(".maps");

static __always_inline struct pprofd_unwind_rule rule_by_number(
    uint32_t number) {
  struct pprofd_unwind_rule none = {};
  uint32_t zero = 0;
  struct rule_table* table = bpf_map_lookup_elem(&rules, &zero);
  return table ? table->rules[number & (PPROFD_MAX_RULES - 1)] : none;
}

#endif /* PPROFD_BPF_UNWIND_TABLE_H_ */
