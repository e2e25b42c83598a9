#include "daemon/collector/perf_event.h"

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <charconv>
#include <fstream>
#include <string>

namespace pprofd {
namespace {

constexpr char kOnlinePath[] = "/sys/devices/system/cpu/online";
constexpr int kMaxCpus = 8192;

}  // namespace

Result<std::vector<int>> OnlineCpus() {
  std::ifstream file(kOnlinePath);
  std::string text;
  if (!std::getline(file, text)) {
    return Status(StatusCode::kIo, std::string("cannot read ") + kOnlinePath);
  }
  // "0-3,5": ranges, ascending.
  std::vector<int> cpus;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    int first = 0;
    auto [behind_first, error] = std::from_chars(at, end, first);
    if (error != std::errc()) break;
    int last = first;
    at = behind_first;
    if (at < end && *at == '-') {
      at = std::from_chars(at + 1, end, last).ptr;
    }
    for (int cpu = first; cpu <= last && cpu < kMaxCpus; ++cpu) {
      cpus.push_back(cpu);
    }
    if (at < end && *at != ',') break;
    ++at;
  }
  if (cpus.empty()) {
    return Status(StatusCode::kCorrupt,
                  std::string(kOnlinePath) + " names no CPU: " + text);
  }
  return cpus;
}

Result<UniqueFd> OpenCpuClock(int cpu, uint64_t period_ns, int program_fd) {
  perf_event_attr attr = {};
  attr.size = sizeof(attr);
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_CPU_CLOCK;
  attr.sample_period = period_ns;
  attr.disabled = 1;
  std::string what = "perf_event_open on CPU " + std::to_string(cpu);
  UniqueFd event(static_cast<int>(
      syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event) {
    // The kernel's word for a CPU that went offline.
    if (errno == ENODEV || errno == ENXIO) {
      return Status(StatusCode::kNotFound, what + ": offline");
    }
    return Status::FromErrno(errno, what);
  }
  if (ioctl(event.get(), PERF_EVENT_IOC_SET_BPF, program_fd) != 0) {
    return Status::FromErrno(errno, what + ": cannot attach the program");
  }
  if (ioctl(event.get(), PERF_EVENT_IOC_ENABLE, 0) != 0) {
    return Status::FromErrno(errno, what + ": cannot enable");
  }
  return event;
}

uint64_t ReadCount(const UniqueFd& event) {
  uint64_t count = 0;
  if (read(event.get(), &count, sizeof(count)) != sizeof(count)) return 0;
  return count;
}

}  // namespace pprofd
