// SPDX-License-Identifier: GPL-2.0-only
/*
 * programs.bpf.c: all programs as one object.
 *
 * One translation unit, because objects that refer to the same kernel function
 * cannot be linked by bpftool, and all programs share maps and the unwinder.
 */
#include "cpu.bpf.c"
#include "module_scan.bpf.c"
#include "preload.bpf.c"
#include "process_events.bpf.c"
#include "rss.bpf.c"

char LICENSE[] SEC("license") = "GPL";
