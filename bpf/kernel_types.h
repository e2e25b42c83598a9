/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kernel_types.h: the kernel structures the programs read, by name only.
 *
 * CO-RE resolves each field against the running kernel's BTF, so only names
 * matter here, not layout, and no generated vmlinux.h ties the build to the
 * kernel of the build machine. "___" suffixes mark alternatives of one
 * structure in different kernels.
 */
#ifndef PPROFD_BPF_KERNEL_TYPES_H_
#define PPROFD_BPF_KERNEL_TYPES_H_

#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <linux/ptrace.h>
#include <stdbool.h>
#include <stdint.h>

#define PPROFD_RELOCATE __attribute__((preserve_access_index))

#define PPROFD_VM_EXEC 0x4
#define PPROFD_PF_EXITING 0x00000004
#define PPROFD_PF_KTHREAD 0x00200000

struct rb_node {
  struct rb_node* rb_right;
  struct rb_node* rb_left;
} PPROFD_RELOCATE;

struct rb_root {
  struct rb_node* rb_node;
} PPROFD_RELOCATE;

struct maple_tree {
  void* ma_root;
} PPROFD_RELOCATE;

struct maple_range_64 {
  void* parent;
  unsigned long pivot[15];
  void* slot[16];
} PPROFD_RELOCATE;

struct maple_arange_64 {
  void* parent;
  unsigned long pivot[9];
  void* slot[10];
} PPROFD_RELOCATE;

struct qstr {
  uint32_t len;
  const unsigned char* name;
} PPROFD_RELOCATE;

struct dentry {
  struct dentry* d_parent;
  struct qstr d_name;
} PPROFD_RELOCATE;

struct path {
  struct dentry* dentry;
} PPROFD_RELOCATE;

struct super_block {
  uint32_t s_dev;
} PPROFD_RELOCATE;

struct timespec64 {
  int64_t tv_sec;
  long tv_nsec;
} PPROFD_RELOCATE;

struct inode {
  struct super_block* i_sb;
  unsigned long i_ino;
  uint32_t i_generation;
} PPROFD_RELOCATE;

/* The change time: a struct up to 6.5, renamed up to 6.10, then two fields. */
struct inode___to_6_5 {
  struct timespec64 i_ctime;
} PPROFD_RELOCATE;
struct inode___to_6_10 {
  struct timespec64 __i_ctime;
} PPROFD_RELOCATE;
struct inode___now {
  int64_t i_ctime_sec;
  uint32_t i_ctime_nsec;
} PPROFD_RELOCATE;

struct file {
  struct inode* f_inode;
  struct path f_path;
} PPROFD_RELOCATE;

struct vm_area_struct {
  unsigned long vm_start;
  unsigned long vm_end;
  unsigned long vm_flags;
  unsigned long vm_pgoff;
  struct file* vm_file;
} PPROFD_RELOCATE;

/* Kernels before 6.1 keep VMAs in a red-black tree. */
struct vm_area_struct___to_6_0 {
  struct rb_node vm_rb;
} PPROFD_RELOCATE;

typedef struct {
  void* vdso;
} PPROFD_RELOCATE mm_context_t;

struct mm_struct {
  struct maple_tree mm_mt;
  mm_context_t context;
} PPROFD_RELOCATE;

/* Grows with every change of a mapping, from 6.4 on; odd from 6.14 on while one
 * is being made. */
struct mm_struct___to_6_13 {
  int mm_lock_seq;
} PPROFD_RELOCATE;
typedef struct {
  unsigned int sequence;
} PPROFD_RELOCATE seqcount_t;
struct mm_struct___now {
  seqcount_t mm_lock_seq;
} PPROFD_RELOCATE;

struct mm_struct___to_6_0 {
  struct rb_root mm_rb;
} PPROFD_RELOCATE;

typedef struct {
  int counter;
} atomic_t;

struct signal_struct {
  atomic_t live;
  unsigned long long sum_sched_runtime;
} PPROFD_RELOCATE;

struct sched_entity {
  uint64_t sum_exec_runtime;
} PPROFD_RELOCATE;

struct task_struct {
  void* stack;
  unsigned int flags;
  struct sched_entity se;
  struct mm_struct* mm;
  unsigned int in_execve : 1;
  int pagefault_disabled;
  int pid;
  int tgid;
  struct task_struct* group_leader;
  uint64_t start_boottime;
  uint64_t self_exec_id;
  char comm[16];
  struct signal_struct* signal;
} PPROFD_RELOCATE;

struct linux_binprm {
  const char* filename;
} PPROFD_RELOCATE;

struct bpf_iter_meta {
  void* seq;
} PPROFD_RELOCATE;

struct bpf_iter__task_vma {
  struct bpf_iter_meta* meta;
  struct task_struct* task;
  struct vm_area_struct* vma;
} PPROFD_RELOCATE;

#endif /* PPROFD_BPF_KERNEL_TYPES_H_ */
