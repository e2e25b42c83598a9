// SPDX-License-Identifier: GPL-2.0-only
/*
 * process_events.bpf.c: names of programs at exec, CPU time at exit. Both only
 * enrich what samples tell; losing one loses no sample.
 */
#include "kernel_memory.h"

static __always_inline void fill_header(struct pprofd_event_header* header,
                                        uint16_t kind, uint32_t size) {
  header->version = PPROFD_ABI_VERSION;
  header->kind = kind;
  header->size = size;
  header->time_ns = bpf_ktime_get_boot_ns();
}

static __always_inline uint64_t process_start_time(uint64_t task) {
  uint64_t leader = LOAD_WORD(task, task_struct, group_leader);
  return LOAD_WORD(leader, task_struct, start_boottime);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct* task, int old_pid,
             struct linux_binprm* bprm) {
  struct pprofd_exec* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event) {
    count_reason(PPROFD_REASON_RING_FULL);
    return 0;
  }
  fill_header(&event->header, PPROFD_EVENT_EXEC, sizeof(*event));
  event->tgid = bpf_get_current_pid_tgid() >> 32;
  event->start_time_ns = process_start_time((uint64_t)task);
  bpf_get_current_comm(event->comm, sizeof(event->comm));
  uint64_t filename = LOAD_WORD((uint64_t)bprm, linux_binprm, filename);
  long bytes = bpf_probe_read_kernel_str(
      event->filename, sizeof(event->filename), (const void*)filename);
  event->filename_bytes = bytes > 0 ? bytes - 1 : 0;
  bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
  return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct* task) {
  uint64_t address = (uint64_t)task;
  uint64_t signal = LOAD_WORD(address, task_struct, signal);
  if (LOAD_HALF(signal, signal_struct, live.counter) != 0) return 0;
  struct pprofd_exit* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event) {
    count_reason(PPROFD_REASON_RING_FULL);
    return 0;
  }
  fill_header(&event->header, PPROFD_EVENT_EXIT, sizeof(*event));
  event->tgid = bpf_get_current_pid_tgid() >> 32;
  event->reserved = 0;
  event->start_time_ns = process_start_time(address);
  event->cpu_time_ns = LOAD_WORD(signal, signal_struct, sum_sched_runtime) +
                       LOAD_WORD(address, task_struct, se.sum_exec_runtime);
  bpf_get_current_comm(event->comm, sizeof(event->comm));
  bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
  return 0;
}
