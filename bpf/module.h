/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * module.h: from a VMA to the number of the file behind it.
 *
 * A file is known by {device, inode, generation, ctime}. One that is not in the
 * modules map yet gets a number at once and the daemon gets an event, so that a
 * frame is named even if its process is gone a moment later.
 */
#ifndef PPROFD_BPF_MODULE_H_
#define PPROFD_BPF_MODULE_H_

#include "kernel_memory.h"
#include "settings.h"
#include "unwind_state.h"

#define PATH_COMPONENTS 16

/* Where a new-module event is put together. The room behind `event` lets the
 * verifier see that a component copied to any offset of the path stays inside.
 */
struct new_module_scratch {
  struct pprofd_new_module event;
  uint8_t room[PPROFD_PATH_BYTES];
};

/* By context, and one for the module scan. Writer and reader: the program of
 * that context on that CPU. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, CONTEXTS + 1);
  __type(key, uint32_t);
  __type(value, struct new_module_scratch);
} new_module_scratch SEC(".maps");
#define SCRATCH_SCAN CONTEXTS

static __always_inline uint64_t ctime_of(uint64_t inode) {
  uint64_t seconds, nanoseconds;
  if (bpf_core_field_exists(struct inode___now, i_ctime_sec)) {
    seconds = LOAD_WORD(inode, inode___now, i_ctime_sec);
    nanoseconds = LOAD_HALF(inode, inode___now, i_ctime_nsec);
  } else if (bpf_core_field_exists(struct inode___to_6_10, __i_ctime)) {
    seconds = LOAD_WORD(inode, inode___to_6_10, __i_ctime.tv_sec);
    nanoseconds = LOAD_WORD(inode, inode___to_6_10, __i_ctime.tv_nsec);
  } else {
    seconds = LOAD_WORD(inode, inode___to_6_5, i_ctime.tv_sec);
    nanoseconds = LOAD_WORD(inode, inode___to_6_5, i_ctime.tv_nsec);
  }
  /* Since 6.13 bit 31 says "somebody looked", which is no change of the file.
   */
  return seconds * 1000000000ULL + (nanoseconds & 0x3fffffff);
}

static __always_inline void file_key_of(uint64_t file,
                                        struct pprofd_file_key* key) {
  uint64_t inode = LOAD_WORD(file, file, f_inode);
  uint64_t super = LOAD_WORD(inode, inode, i_sb);
  key->inode = LOAD_WORD(inode, inode, i_ino);
  key->ctime_ns = ctime_of(inode);
  key->device = LOAD_HALF(super, super_block, s_dev);
  key->generation = LOAD_HALF(inode, inode, i_generation);
}

static __always_inline uint32_t write_path(struct new_module_scratch* scratch,
                                           uint64_t file) {
  uint64_t dentry = LOAD_WORD(file, file, f_path.dentry);
  uint32_t start = PPROFD_PATH_BYTES;
  for (int i = 0; i < PATH_COMPONENTS; i++) {
    uint64_t parent = LOAD_WORD(dentry, dentry, d_parent);
    if (!dentry || parent == dentry) break;
    uint32_t length = LOAD_HALF(dentry, dentry, d_name.len);
    uint64_t name = LOAD_WORD(dentry, dentry, d_name.name);
    if (length == 0 || length >= PPROFD_PATH_BYTES || length + 1 > start) break;
    start -= length + 1;
    uint64_t offset = start & (PPROFD_PATH_BYTES - 1);
    uint64_t bytes = length & (PPROFD_PATH_BYTES - 1);
    scratch->event.path[offset] = '/';
    if (bpf_probe_read_kernel(scratch->event.path + offset + 1, bytes,
                              (const void*)name)) {
      start += length + 1;
      break;
    }
    dentry = parent;
  }
  return PPROFD_PATH_BYTES - start;
}

static __always_inline int send_new_module(struct new_module_scratch* scratch,
                                           const struct pprofd_file_key* key,
                                           uint32_t number, uint64_t vma,
                                           uint64_t file, uint32_t tgid,
                                           uint64_t start_time_ns,
                                           uint64_t wakeup) {
  struct pprofd_new_module* event = &scratch->event;
  event->header.version = PPROFD_ABI_VERSION;
  event->header.kind = PPROFD_EVENT_NEW_MODULE;
  event->header.size = sizeof(*event);
  event->header.time_ns = bpf_ktime_get_boot_ns();
  event->key = *key;
  event->module = number;
  event->tgid = tgid;
  event->start_time_ns = start_time_ns;
  event->map_start = LOAD_WORD(vma, vm_area_struct, vm_start);
  event->map_limit = LOAD_WORD(vma, vm_area_struct, vm_end);
  event->file_offset = LOAD_WORD(vma, vm_area_struct, vm_pgoff) << 12;
  event->reserved = 0;
  event->path_bytes = write_path(scratch, file);
  return bpf_ringbuf_output(&events, event, sizeof(*event), wakeup);
}

/* The module of a file, made on first sight; NULL and *reason when it cannot.
 */
static __always_inline struct pprofd_module* module_of(
    uint32_t scratch_index, uint64_t vma, uint64_t file, uint32_t tgid,
    uint64_t start_time_ns, uint64_t wakeup, uint32_t* reason) {
  struct pprofd_file_key key = {};
  file_key_of(file, &key);
  struct pprofd_module* module = bpf_map_lookup_elem(&modules, &key);
  if (module) return module;

  struct new_module_scratch* scratch =
      bpf_map_lookup_elem(&new_module_scratch, &scratch_index);
  if (!scratch) return 0;
  *reason = PPROFD_REASON_MODULE_TABLE_FULL;
  struct pprofd_module fresh = {};
  if (bpf_map_pop_elem(&numbers, &fresh.number)) {
    count_reason(PPROFD_REASON_NUMBERS_EXHAUSTED);
    return 0;
  }
  if (bpf_map_update_elem(&modules, &key, &fresh, BPF_NOEXIST) == 0) {
    if (send_new_module(scratch, &key, fresh.number, vma, file, tgid,
                        start_time_ns, wakeup)) {
      /* Nobody heard: the next sample of the file asks again. */
      bpf_map_delete_elem(&modules, &key);
      __sync_fetch_and_add(&modules_version, 1);
      count_reason(PPROFD_REASON_RING_FULL);
      return 0;
    }
  }
  return bpf_map_lookup_elem(&modules, &key);
}

#endif /* PPROFD_BPF_MODULE_H_ */
