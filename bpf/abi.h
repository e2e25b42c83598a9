/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * abi.h: every struct, number and limit that crosses the kernel boundary.
 *
 * Compiles as C for BPF and as C++20 for the daemon: fixed-width integers,
 * explicit padding, no pointers, no bitfields. Sizes and offsets are asserted
 * below, so that both sides agree or neither builds. The daemon decodes through
 * these structs and trusts no length in them.
 */
#ifndef PPROFD_BPF_ABI_H_
#define PPROFD_BPF_ABI_H_

#ifdef __cplusplus
#include <cstddef>
#include <cstdint>
#define PPROFD_ASSERT(condition, text) static_assert(condition, text)
#else
#ifndef __bpf__
#include <stddef.h>
#include <stdint.h>
#endif
#define PPROFD_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#include "heap_sizes.h"

#define PPROFD_ABI_VERSION 1

/* ---- Limits -------------------------------------------------------------- */
#define PPROFD_MAX_USER_FRAMES 512
#define PPROFD_MAX_KERNEL_FRAMES 127
#define PPROFD_MAX_SAMPLE_MAPPINGS 16
#define PPROFD_RAW_STACK_BYTES 16384
#define PPROFD_COMM_BYTES 16
#define PPROFD_PATH_BYTES 256
#define PPROFD_MAX_MODULES 16384
#define PPROFD_MAX_REASONS 128
#define PPROFD_REGISTERS 17

/* ---- Frames -------------------------------------------------------------- */
/*
 * A user frame is 8 bytes:
 *   bits 63..60  kind
 *   bit  59      1 = return address (the call is in the instruction before it)
 *   bits 58..36  module number            (kind FILE)
 *   bits 35..0   byte offset in its file  (kind FILE; 64 GiB at most)
 *   bits 56..0   virtual address          (kind ADDRESS)
 * Module number 1 is the vDSO, whose "file" starts at its first byte.
 */
#define PPROFD_FRAME_KIND_SHIFT 60
#define PPROFD_FRAME_RETURN_BIT (1ULL << 59)
#define PPROFD_FRAME_MODULE_SHIFT 36
#define PPROFD_FRAME_MODULE_MASK 0x7fffffULL
#define PPROFD_FRAME_OFFSET_MASK 0xfffffffffULL
#define PPROFD_FRAME_ADDRESS_MASK 0x1ffffffffffffffULL

#define PPROFD_FRAME_FILE 1ULL    /* code of a file */
#define PPROFD_FRAME_ADDRESS 2ULL /* code without a file: JIT, anonymous */
#define PPROFD_FRAME_KERNEL 3ULL  /* kernel code; made by the decoder only */
#define PPROFD_FRAME_REASON 4ULL  /* a truncate reason; decoder only */

#define PPROFD_MODULE_NONE 0
#define PPROFD_MODULE_VDSO 1
#define PPROFD_FIRST_MODULE 2

/* ---- Reasons (drop_reasons.def) -------------------------------------------
 */
#define PPROFD_REASON_NONE 0
enum pprofd_reason {
#define TRUNCATE_REASON(number, name, text) PPROFD_REASON_##name = number,
#define DROP_REASON(number, name, text) PPROFD_REASON_##name = number,
#include "drop_reasons.def"
};

/* ---- Events (kernel -> daemon, through the ring buffer) -------------------
 */
#define PPROFD_EVENT_SAMPLE 1
#define PPROFD_EVENT_NEW_MODULE 2
#define PPROFD_EVENT_EXEC 3
#define PPROFD_EVENT_EXIT 4
#define PPROFD_EVENT_FREE 5

/* What a sample observes, with its two values. */
#define PPROFD_KIND_CPU 1  /* {samples, nanoseconds}: {1, period} */
#define PPROFD_KIND_HEAP 2 /* {bytes requested, mean bytes between samples} */
#define PPROFD_KIND_RSS 3  /* {page faults, their bytes} it stands for */
#define PPROFD_KINDS 8     /* numbers are below it */

struct pprofd_event_header {
  uint16_t version; /* PPROFD_ABI_VERSION */
  uint16_t kind;    /* PPROFD_EVENT_* */
  uint32_t size;    /* bytes of the whole event, this header included */
  uint64_t time_ns; /* CLOCK_BOOTTIME */
};

/* Sample flags. */
#define PPROFD_SAMPLE_USER_MODE 1u /* interrupted in user mode */
#define PPROFD_SAMPLE_RAW_STACK 2u /* registers and raw stack follow */
/* The first user frame is the probed function; its caller is what was walked.
 */
#define PPROFD_SAMPLE_PROBED 4u
#define PPROFD_SAMPLE_UNTRACKED 8u /* heap: its free will not be seen */

/* How the unwinding of the user half ended. */
#define PPROFD_UNWIND_NONE 0      /* no user half */
#define PPROFD_UNWIND_COMPLETE 1  /* root reached by unwind rows alone */
#define PPROFD_UNWIND_MIXED 2     /* root reached, frame pointers helped */
#define PPROFD_UNWIND_TRUNCATED 3 /* cut; truncate_reason says why */

/* One executable mapping met while unwinding; the truth about the process at
 * the time of the sample, read from its VMA tree. */
struct pprofd_mapping {
  uint64_t start;       /* virtual address */
  uint64_t limit;       /* virtual address, exclusive */
  uint64_t file_offset; /* bytes, of start */
  uint32_t module;      /* module number, 0 when anonymous */
  uint32_t reserved;
};

/*
 * Followed, each part right behind the other, by
 *   uint64_t user_frames[user_frame_count]            leaf first
 *   struct pprofd_mapping mappings[mapping_count]
 *   uint64_t kernel_frames[kernel_frame_count]        leaf first, raw addresses
 *   with PPROFD_SAMPLE_RAW_STACK:
 *   uint64_t registers[PPROFD_REGISTERS]              DWARF order, [16] = rip
 *   uint8_t raw_stack[raw_stack_bytes]                from registers[7] (rsp)
 * on
 */
struct pprofd_sample {
  struct pprofd_event_header header;
  uint32_t tgid;
  uint32_t tid;
  uint64_t start_time_ns; /* of the process, CLOCK_BOOTTIME */
  uint64_t cgroup_id;
  uint32_t cpu;
  /* cpu: 1 = by the event of a capture, 0 = always on; heap: the tracking */
  uint32_t capture;
  uint64_t value[2]; /* by kind */
  uint64_t address;  /* heap: of the block */
  uint32_t flags;
  uint16_t user_frame_count;
  uint16_t kernel_frame_count;
  uint16_t mapping_count;
  uint8_t unwind_result;
  uint8_t truncate_reason;
  uint32_t truncate_module; /* module number the reason is about, or 0 */
  uint32_t raw_stack_bytes;
  uint32_t kind;                /* PPROFD_KIND_* */
  char comm[PPROFD_COMM_BYTES]; /* of the thread */
};

/*
 * Identity of a mapped file as the kernel sees it (never taken from
 * /proc/PID/maps, where overlayfs reports another device).
 */
struct pprofd_file_key {
  uint64_t inode;
  uint64_t ctime_ns;
  uint32_t device; /* kernel encoding: major << 20 | minor */
  uint32_t generation;
};

/* A file is executed that the kernel half has no number for yet. */
struct pprofd_new_module {
  struct pprofd_event_header header;
  struct pprofd_file_key key;
  uint32_t module; /* the number it was given */
  uint32_t tgid;   /* a process that maps it */
  uint64_t start_time_ns;
  uint64_t map_start; /* the mapping, as /proc/PID/map_files names it */
  uint64_t map_limit;
  uint64_t file_offset;
  uint32_t path_bytes;
  uint32_t reserved;
  /* Path inside its file system, in the last path_bytes bytes, each component
   * behind a '/'; cut at the root side when too long; not NUL-terminated. */
  char path[PPROFD_PATH_BYTES];
};

/* A sampled block was freed. */
struct pprofd_free {
  struct pprofd_event_header header;
  uint32_t tgid;
  uint32_t tracking;
  uint64_t address;
  uint64_t alloc_time_ns; /* header.time_ns of its sample */
};

/* A process replaced its program. */
struct pprofd_exec {
  struct pprofd_event_header header;
  uint32_t tgid;
  uint32_t filename_bytes;
  uint64_t start_time_ns;
  char comm[PPROFD_COMM_BYTES];
  char filename[PPROFD_PATH_BYTES]; /* as given to execve */
};

/* The last thread of a process ended. */
struct pprofd_exit {
  struct pprofd_event_header header;
  uint32_t tgid;
  uint32_t reserved;
  uint64_t start_time_ns;
  uint64_t cpu_time_ns; /* of all its threads, user and system */
  char comm[PPROFD_COMM_BYTES];
};

/* ---- Unwind tables (daemon -> kernel) -------------------------------------
 */
/*
 * All tables live in one "chunk space": fixed-size chunks, each one value of a
 * memory-mapped array map. A reference is a 32-bit offset in units of 8 bytes;
 * 0 means "nothing", so the first 8 bytes of chunk 0 stay unused. Nothing
 * straddles two chunks.
 *
 *   module   -> page directory: u32[page_count], one per 64 KiB of file offset
 *               from first_page on: reference of the page's piece, 0 = no rows.
 *               A directory is one allocation (at most 64 KiB: 16,384 pages,
 *               1 GiB of file range).
 *   piece    -> u32 granule[256], one per 256 bytes of text, then row blocks.
 *               granule entry: bit 31 set: the whole granule is one rule, its
 *               number in bits 15..0. Otherwise a block: bits 21..0 its offset
 *               from the piece in units of 8 bytes, bits 26..22 its words - 1.
 *   block    -> u64 pcs[words]: the low bytes of the rows' first addresses,
 *               ascending, first is 0, padded with 0xff; then
 *               u16 rules[words * 8], padded with the last rule.
 * A row holds from its address to the next row's. Search: the number of pc
 * bytes <= the wanted low byte, minus 1, is the index of the rule.
 */
#define PPROFD_CHUNK_SHIFT 21
#define PPROFD_CHUNK_BYTES (1u << PPROFD_CHUNK_SHIFT)
#define PPROFD_MAX_CHUNKS 256
#define PPROFD_REFERENCE_UNIT 8
#define PPROFD_PAGE_SHIFT 16
#define PPROFD_GRANULE_SHIFT 8
#define PPROFD_GRANULES_PER_PAGE 256
#define PPROFD_GRANULE_ONE_RULE 0x80000000u
#define PPROFD_GRANULE_BLOCK_MASK 0x3fffffu
#define PPROFD_GRANULE_WORDS_SHIFT 22
#define PPROFD_GRANULE_WORDS_MASK 31u
#define PPROFD_MAX_BLOCK_WORDS 32
#define PPROFD_MAX_DIRECTORY_PAGES 16384
#define PPROFD_MAX_RULES 65536

/* How to find the canonical frame address (CFA). */
#define PPROFD_CFA_NONE 0      /* no unwind information: frame-pointer step */
#define PPROFD_CFA_RSP 1       /* rsp + off */
#define PPROFD_CFA_RBP 2       /* rbp + off */
#define PPROFD_CFA_RBP_DEREF 3 /* *(rbp + off) */
#define PPROFD_CFA_REG 4    /* cfa_reg + off; only where registers are known */
#define PPROFD_CFA_PLT 5    /* rsp + 8 + ((rip & 15) >= off8 ? 8 : 0) */
#define PPROFD_CFA_SIGNAL 6 /* ucontext at rsp (rt_sigreturn frame) */
#define PPROFD_CFA_END 7    /* outermost frame: the root */
#define PPROFD_CFA_UNSUPPORTED 8
#define PPROFD_CFA_RSP_DEREF 9 /* *(rsp + off) */

/* Where the caller's rbp is. */
#define PPROFD_RBP_SAME 0
#define PPROFD_RBP_AT_CFA 1 /* at CFA + off */
#define PPROFD_RBP_AT_RBP 2 /* at rbp + off */
#define PPROFD_RBP_UNDEFINED 3

/* Where the return address is. */
#define PPROFD_RA_AT_CFA 0 /* at CFA - 8 */
#define PPROFD_RA_RDI 1    /* in rdi (vfork); only where registers are known */

struct pprofd_unwind_rule {
  uint8_t cfa_kind; /* PPROFD_CFA_* */
  uint8_t cfa_reg;  /* DWARF register number, for PPROFD_CFA_REG */
  uint8_t rbp_kind; /* PPROFD_RBP_* */
  uint8_t ra_kind;  /* PPROFD_RA_* */
  int16_t cfa_off8; /* units of 8 bytes; for PLT the threshold itself */
  int16_t rbp_off8; /* units of 8 bytes */
};

/* Value of the modules map. All zero but the number: no table yet. */
#define PPROFD_MODULE_READY 1u   /* the daemon has finished with it */
#define PPROFD_MODULE_REFUSED 2u /* no table will come: budget or bad data */

struct pprofd_module {
  uint32_t number;
  uint32_t flags;
  uint32_t directory;  /* reference, 0 = no rows at all */
  uint32_t first_page; /* file offset >> PPROFD_PAGE_SHIFT */
  uint32_t page_count;
  uint32_t last_used_epoch; /* written by the kernel half, for eviction */
  /* File range without rows that holds e_entry: its frames are roots. */
  uint64_t entry_gap_start;
  uint64_t entry_gap_limit;
};

/* ---- Captures (daemon -> kernel) ------------------------------------------
 */
/*
 * A process to be sampled by the capture event of a period. The table is hashed
 * into buckets of two cache lines, as every tick on every CPU looks there;
 * what is asked for is in its bucket or nowhere. The whole host is process 0
 * and looked up only while whole_host_captures says so.
 */
struct pprofd_capture_slot {
  uint32_t tgid;
  uint32_t in_use;
  uint64_t period_ns;
};
#define PPROFD_CAPTURE_BUCKET_SHIFT 9
#define PPROFD_CAPTURE_BUCKETS (1u << PPROFD_CAPTURE_BUCKET_SHIFT)
#define PPROFD_CAPTURE_BUCKET_SLOTS 8
#define PPROFD_CAPTURE_SLOTS \
  (PPROFD_CAPTURE_BUCKETS * PPROFD_CAPTURE_BUCKET_SLOTS)
/* Index of the first slot of the bucket. */
static inline uint64_t pprofd_capture_bucket(uint32_t tgid,
                                             uint64_t period_ns) {
  uint64_t hash = (period_ns << 32 ^ tgid) * 0x9e3779b97f4a7c15ULL;
  hash = (hash ^ hash >> 32) * 0xbf58476d1ce4e5b9ULL;
  return (hash >> (64 - PPROFD_CAPTURE_BUCKET_SHIFT)) *
         PPROFD_CAPTURE_BUCKET_SLOTS;
}

/* ---- Heap probes (daemon -> kernel) ----------------------------------------
 */
/* What a probed function does, by its arguments. */
#define PPROFD_HEAP_MALLOC 1         /* (size) */
#define PPROFD_HEAP_CALLOC 2         /* (count, size) */
#define PPROFD_HEAP_REALLOC 3        /* (pointer, size) */
#define PPROFD_HEAP_REALLOCARRAY 4   /* (pointer, count, size) */
#define PPROFD_HEAP_ALIGNED 5        /* (alignment, size) */
#define PPROFD_HEAP_ALIGNED_ABOVE 6  /* the same; up to 16 it calls malloc */
#define PPROFD_HEAP_POSIX_MEMALIGN 7 /* (result at, alignment, size) */
#define PPROFD_HEAP_FREE 8           /* (pointer) */
/* REALLOC that calls malloc when the pointer is null, free when the size is 0.
 */
#define PPROFD_HEAP_REALLOC_BLOCK 9
/* POSIX_MEMALIGN that calls malloc for alignments up to 16. */
#define PPROFD_HEAP_POSIX_MEMALIGN_ABOVE 10
/* (size), and may throw: an exception does not pass a return probe, so that the
 * address of the block stays unknown. */
#define PPROFD_HEAP_NEW 11
/* Of libpprofd_heap.so, with programs of their own. */
#define PPROFD_HEAP_TOLD_SAMPLE 12 /* (pointer, size, period) */
#define PPROFD_HEAP_TOLD_FREE 13   /* (pointer) */
#define PPROFD_HEAP_LAST_KIND PPROFD_HEAP_TOLD_FREE

/* Of a probe: its cookie. */
#define PPROFD_HEAP_COOKIE_REGISTER_SHIFT 8    /* 3 x 4 bits: DWARF numbers */
#define PPROFD_HEAP_COOKIE_DELTA_SHIFT 24      /* 8 bits: probe - entry */
#define PPROFD_HEAP_COOKIE_TARGET_SHIFT 32     /* 8 bits */
#define PPROFD_HEAP_COOKIE_GENERATION_SHIFT 40 /* 8 bits: of the attaching */

/* A process whose allocations are sampled. */
#define PPROFD_MAX_HEAP_TARGETS 256
#define PPROFD_MAX_LIVE_BLOCKS 262144
struct pprofd_heap_target {
  uint32_t tgid; /* 0 = not in use */
  uint32_t tracking;
  uint32_t watches_frees;
  uint8_t generation; /* probes of an older one are on their way out */
  uint8_t reserved[3];
  uint64_t period_bytes;  /* 1 = every block */
  uint64_t scale;         /* 2^56 / period_bytes */
  uint64_t certain_bytes; /* blocks as big are always sampled */
  /* Processes that it forked since; they have the breakpoints until those are
   * taken out. Writer: kernel half. */
  uint64_t forks;
};

/* Every call since its probes were attached; per CPU. */
struct pprofd_heap_counts {
  uint64_t hits;
  uint64_t allocs;
  uint64_t alloc_bytes;
  uint64_t frees;
  uint64_t sampling_ns; /* spent on sampled blocks, but for the traps */
  uint64_t allocs_by_size[PPROFD_HEAP_SIZE_CLASSES]; /* heap_sizes.h */
};

/* A process that samples by itself, with libpprofd_heap.so. */
#define PPROFD_MAX_PRELOADED 4096
#define PPROFD_PRELOAD_TRACKING 0x80000000u /* set in their numbers only */
struct pprofd_preloaded {
  uint64_t start_ticks; /* as /proc says */
  uint64_t exec_id;     /* which of its programs it is; 0 = not known yet */
  uint32_t tracking;
  uint32_t live_blocks; /* of it in the table */
};
/* Of one process, so that others have room. */
#define PPROFD_MAX_PRELOADED_BLOCKS 65536

/* A sampled block that was not freed yet. */
struct pprofd_live_block {
  uint64_t address;
  uint32_t tracking;
  uint32_t reserved;
};

/* ---- Asserted layout ------------------------------------------------------
 */
PPROFD_ASSERT(sizeof(struct pprofd_event_header) == 16, "abi");
PPROFD_ASSERT(sizeof(struct pprofd_mapping) == 32, "abi");
PPROFD_ASSERT(sizeof(struct pprofd_sample) == 112, "abi");
PPROFD_ASSERT(sizeof(struct pprofd_free) == 40, "abi");
PPROFD_ASSERT(sizeof(struct pprofd_heap_target) == 48, "abi");
PPROFD_ASSERT(sizeof(struct pprofd_preloaded) == 24, "abi");
PPROFD_ASSERT(sizeof(struct pprofd_file_key) == 24, "abi");
PPROFD_ASSERT(sizeof(struct pprofd_new_module) == 88 + PPROFD_PATH_BYTES,
              "abi");
PPROFD_ASSERT(sizeof(struct pprofd_exec) == 48 + PPROFD_PATH_BYTES, "abi");
PPROFD_ASSERT(sizeof(struct pprofd_exit) == 56, "abi");
PPROFD_ASSERT(sizeof(struct pprofd_unwind_rule) == 8, "abi");
PPROFD_ASSERT(sizeof(struct pprofd_module) == 40, "abi");
PPROFD_ASSERT(sizeof(struct pprofd_capture_slot) == 16, "abi");
PPROFD_ASSERT(PPROFD_CHUNK_BYTES / PPROFD_REFERENCE_UNIT * PPROFD_MAX_CHUNKS <=
                  0xffffffffu,
              "a reference reaches every chunk");

#endif /* PPROFD_BPF_ABI_H_ */
