// fp_walk PID HZ SECONDS: samples a process with fp_walk.bpf.c and prints the
// program's run count and run time (kernel.bpf_stats_enabled must be 1) and the
// frames that were sampled, as JSON.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bpf/abi.h"
#include "fp_walk_programs.skel.h"

namespace {

struct Counts {
  uint64_t samples = 0;
  uint64_t frames = 0;
};

int CountSample(void* context, void* data, size_t size) {
  pprofd_sample sample;
  if (size < sizeof(sample)) return 0;
  std::memcpy(&sample, data, sizeof(sample));
  auto* counts = static_cast<Counts*>(context);
  counts->samples += 1;
  counts->frames += sample.user_frame_count;
  return 0;
}

int OpenCpuClock(int pid, uint64_t hz) {
  perf_event_attr attr = {};
  attr.size = sizeof(attr);
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_CPU_CLOCK;
  attr.sample_period = 1'000'000'000 / hz;
  return static_cast<int>(
      syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

void Sample(ring_buffer* ring, double seconds) {
  timespec pause = {0, 50'000'000};
  for (int left = static_cast<int>(seconds * 20); left > 0; --left) {
    nanosleep(&pause, nullptr);
    ring_buffer__consume(ring);
  }
}

void PrintCounts(int program, const Counts& counts) {
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  bpf_obj_get_info_by_fd(program, &info, &size);
  std::printf("{\"samples\": %" PRIu64 ", \"frames\": %" PRIu64
              ", \"runs\": %" PRIu64 ", \"run_ns\": %" PRIu64 "}\n",
              counts.samples, counts.frames,
              static_cast<uint64_t>(info.run_cnt),
              static_cast<uint64_t>(info.run_time_ns));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  fp_walk_programs_bpf* programs = fp_walk_programs_bpf__open_and_load();
  if (programs == nullptr) return 1;
  int event =
      OpenCpuClock(std::atoi(argv[1]), std::strtoull(argv[2], nullptr, 10));
  bpf_link* link =
      bpf_program__attach_perf_event(programs->progs.fp_walk, event);
  Counts counts;
  ring_buffer* ring = ring_buffer__new(bpf_map__fd(programs->maps.events),
                                       CountSample, &counts, nullptr);
  if (link == nullptr || ring == nullptr) return 1;
  Sample(ring, std::atof(argv[3]));
  bpf_link__destroy(link);
  ring_buffer__consume(ring);
  PrintCounts(bpf_program__fd(programs->progs.fp_walk), counts);
  ring_buffer__free(ring);
  fp_walk_programs_bpf__destroy(programs);
  return 0;
}
