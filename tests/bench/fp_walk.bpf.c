// SPDX-License-Identifier: GPL-2.0-only
/*
 * fp_walk.bpf.c: the kernel's own walk of frame pointers, in a record like
 * that of pprofd: the least that any profiler in BPF does for a sample.
 */
// clang-format off: the helpers need the types before them.
#include <stdint.h>

#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>

#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"
// clang-format on

struct record {
  struct pprofd_sample sample;
  uint64_t frames[PPROFD_MAX_USER_FRAMES];
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, uint32_t);
  __type(value, struct record);
} records SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} events SEC(".maps");

SEC("perf_event")
int fp_walk(struct bpf_perf_event_data* ctx) {
  uint32_t zero = 0;
  struct record* record = bpf_map_lookup_elem(&records, &zero);
  if (!record) return 0;
  struct pprofd_sample* sample = &record->sample;
  uint64_t ids = bpf_get_current_pid_tgid();
  sample->header.version = PPROFD_ABI_VERSION;
  sample->header.kind = PPROFD_EVENT_SAMPLE;
  sample->header.time_ns = bpf_ktime_get_boot_ns();
  sample->tgid = ids >> 32;
  sample->tid = (uint32_t)ids;
  sample->cgroup_id = bpf_get_current_cgroup_id();
  sample->cpu = bpf_get_smp_processor_id();
  sample->value[0] = 1;
  sample->value[1] = ctx->sample_period;
  bpf_get_current_comm(sample->comm, sizeof(sample->comm));
  long bytes = bpf_get_stack(ctx, record->frames, sizeof(record->frames),
                             BPF_F_USER_STACK);
  if (bytes < 0 || bytes > (long)sizeof(record->frames)) bytes = 0;
  sample->user_frame_count = bytes >> 3;
  sample->header.size = sizeof(*sample) + bytes;
  bpf_ringbuf_output(&events, record, sizeof(*sample) + bytes,
                     BPF_RB_NO_WAKEUP);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
