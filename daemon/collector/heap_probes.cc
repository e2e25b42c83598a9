#include "daemon/collector/heap_probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

// What the costs are measured on: an instruction that the kernel emulates, and
// one that it steps through.
asm(R"(
  .text
  .p2align 4
  .type pprofd_emulated_probe, @function
pprofd_emulated_probe:
  nop
  ret
  .size pprofd_emulated_probe, .-pprofd_emulated_probe
  .p2align 4
  .type pprofd_stepped_probe, @function
pprofd_stepped_probe:
  mov %rdi, %rax
  ret
  .size pprofd_stepped_probe, .-pprofd_stepped_probe
)");
extern "C" {
void pprofd_emulated_probe();
void pprofd_stepped_probe();
}

namespace pprofd {
namespace {

constexpr int kUprobeSession = 57;  // BPF_TRACE_UPROBE_SESSION, from 6.13 on
constexpr int kMeasuredCalls = 400;
constexpr int kMeasuredRounds = 5;

bool Allocates(const AllocatorFunction& function) {
  return function.kind != PPROFD_HEAP_FREE;
}

std::string PathOf(int file) { return fmt::format("/proc/self/fd/{}", file); }

// Offset in our own file of code of ours.
FileOffset OffsetOf(void (*function)()) {
  struct Search {
    uint64_t address;
    uint64_t offset;
  } search{reinterpret_cast<uint64_t>(function), 0};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        auto* wanted = static_cast<Search*>(data);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& segment = info->dlpi_phdr[i];
          uint64_t start = info->dlpi_addr + segment.p_vaddr;
          if (segment.p_type == PT_LOAD && wanted->address >= start &&
              wanted->address < start + segment.p_filesz) {
            wanted->offset = wanted->address - start + segment.p_offset;
          }
        }
        return 1;  // the program itself is the first
      },
      &search);
  return {search.offset};
}

int64_t CpuTimeOfCalls(void (*function)()) {
  timespec before, after;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
  for (int i = 0; i < kMeasuredCalls; ++i) function();
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
  return (after.tv_sec - before.tv_sec) * 1'000'000'000 + after.tv_nsec -
         before.tv_nsec;
}

// The best of some rounds: what disturbs only adds.
int64_t NsPerCall(void (*function)()) {
  int64_t best = INT64_MAX;
  for (int i = 0; i < kMeasuredRounds; ++i) {
    best = std::min(best, CpuTimeOfCalls(function));
  }
  return best / kMeasuredCalls;
}

}  // namespace

HeapTarget::HeapTarget(HeapProbes& probes, uint32_t index, int32_t pid,
                       uint32_t tracking)
    : probes_(probes), index_(index), pid_(pid), tracking_(tracking) {}

HeapTarget::~HeapTarget() {
  SetOpen(false);
  Detach();
  probes_.in_use_[index_].store(false, std::memory_order_release);
}

void HeapTarget::SetOpen(bool is_open) {
  std::atomic_ref(probes_.program_.heap_target(index_).tgid)
      .store(is_open ? static_cast<uint32_t>(pid_) : 0,
             std::memory_order_release);
}

void HeapTarget::SetPeriod(uint64_t period_bytes) {
  pprofd_heap_target& target = probes_.program_.heap_target(index_);
  // A call that sees half of this is sampled at one period and says another:
  // one block at most on each CPU.
  target.period_bytes = period_bytes;
  target.scale = (uint64_t{1} << 56) / period_bytes;
  target.certain_bytes = period_bytes <= 1 ? 1 : 16 * period_bytes;
}

pprofd_heap_counts HeapTarget::ReadCounts() const {
  pprofd_heap_counts total{};
  for (const pprofd_heap_counts& counts :
       probes_.program_.ReadHeapCounts(index_)) {
    total.hits += counts.hits;
    total.allocs += counts.allocs;
    total.alloc_bytes += counts.alloc_bytes;
    total.frees += counts.frees;
  }
  return total;
}

void HeapTarget::ForgetBlocks(std::span<const VirtualAddr> addresses) {
  for (VirtualAddr address : addresses) {
    probes_.program_.ForgetLiveBlock(
        {.address = address.value, .tracking = tracking_, .reserved = 0});
  }
}

uint64_t HeapTarget::CookieOf(const AllocatorFunction& function) const {
  uint64_t cookie = function.kind;
  for (size_t i = 0; i < function.registers.size(); ++i) {
    cookie |= uint64_t{function.registers[i]}
              << (PPROFD_HEAP_COOKIE_REGISTER_SHIFT + 4 * i);
  }
  cookie |= (function.probe.value - function.entry.value)
            << PPROFD_HEAP_COOKIE_DELTA_SHIFT;
  return cookie | uint64_t{index_} << PPROFD_HEAP_COOKIE_TARGET_SHIFT;
}

Status HeapTarget::Attach(std::span<const HeapProbeSet> sets,
                          bool watches_frees) {
  ASSIGN_OR_RETURN(ProbeCost cost, probes_.Calibrate());
  Detach();
  probes_.program_.heap_target(index_).watches_frees = watches_frees;
  for (const HeapProbeSet& set : sets) {
    Status status = cost.has_sessions ? AttachSession(set, watches_frees)
                                      : AttachPairs(set, watches_frees);
    if (!status.ok()) {
      Detach();
      return status;
    }
  }
  return Status::Ok();
}

Status HeapTarget::AttachSession(const HeapProbeSet& set, bool watches_frees) {
  std::vector<uint64_t> offsets;
  std::vector<uint64_t> cookies;
  for (const AllocatorFunction& function : set.functions) {
    if (!Allocates(function) && !watches_frees) continue;
    offsets.push_back(function.probe.value);
    cookies.push_back(CookieOf(function));
  }
  if (offsets.empty()) return Status::Ok();
  std::string path = PathOf(set.file);
  bpf_attr attr{};
  attr.link_create.prog_fd =
      static_cast<uint32_t>(probes_.program_.heap_session_fd());
  attr.link_create.attach_type = kUprobeSession;
  attr.link_create.uprobe_multi.path = reinterpret_cast<uint64_t>(path.c_str());
  attr.link_create.uprobe_multi.offsets =
      reinterpret_cast<uint64_t>(offsets.data());
  attr.link_create.uprobe_multi.cookies =
      reinterpret_cast<uint64_t>(cookies.data());
  attr.link_create.uprobe_multi.cnt = static_cast<uint32_t>(offsets.size());
  attr.link_create.uprobe_multi.pid = static_cast<uint32_t>(pid_);
  UniqueFd link(
      static_cast<int>(syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr))));
  if (!link) {
    return Status::FromErrno(errno,
                             "the kernel refused probes on the allocator");
  }
  fds_.push_back(std::move(link));
  return Status::Ok();
}

Status HeapTarget::AttachPairs(const HeapProbeSet& set, bool watches_frees) {
  std::string path = PathOf(set.file);
  for (const AllocatorFunction& function : set.functions) {
    if (!Allocates(function) && !watches_frees) continue;
    LIBBPF_OPTS(bpf_uprobe_opts, options, .bpf_cookie = CookieOf(function));
    bpf_link* link = bpf_program__attach_uprobe_opts(
        probes_.program_.heap_entry(), pid_, path.c_str(), function.probe.value,
        &options);
    if (link == nullptr) {
      return Status::FromErrno(
          errno, "the kernel refused a probe on " + function.name);
    }
    links_.push_back(link);
    if (!Allocates(function)) continue;
    // A return probe sits on the entry: further on, the stack pointer may have
    // moved away from the return address.
    options.retprobe = true;
    link = bpf_program__attach_uprobe_opts(probes_.program_.heap_return(), pid_,
                                           path.c_str(), function.entry.value,
                                           &options);
    if (link == nullptr) {
      return Status::FromErrno(
          errno, "the kernel refused a return probe on " + function.name);
    }
    links_.push_back(link);
  }
  return Status::Ok();
}

void HeapTarget::Detach() {
  fds_.clear();
  for (bpf_link* link : links_) bpf_link__destroy(link);
  links_.clear();
}

Result<ProbeCost> HeapProbes::Calibrate() {
  std::lock_guard lock(mutex_);
  if (cost_) return *cost_;
  ASSIGN_OR_RETURN(ProbeCost cost, Measure());
  cost_ = cost;
  return cost;
}

Result<ProbeCost> HeapProbes::Measure() {
  if (!program_.has_heap_programs()) {
    return Status(StatusCode::kUnsupported,
                  "this kernel has no cookies for probes (Linux 5.15)");
  }
  UniqueFd self(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!self) return Status::FromErrno(errno, "open of /proc/self/exe");
  HeapTarget target(*this, PPROFD_MAX_HEAP_TARGETS - 1, getpid(), 0);
  ProbeCost cost;
  for (bool is_stepped : {false, true}) {
    auto* function = is_stepped ? pprofd_stepped_probe : pprofd_emulated_probe;
    AllocatorFunction probed;
    probed.name = "a function of pprofd";
    probed.kind = PPROFD_HEAP_MALLOC;
    probed.entry = probed.probe = OffsetOf(function);
    HeapProbeSet set{.file = self.get(), .functions = {probed}};
    cost.has_sessions =
        program_.heap_session_fd() >= 0 && target.AttachSession(set, true).ok();
    if (!cost.has_sessions) RETURN_IF_ERROR(target.AttachPairs(set, true));
    int64_t ns = NsPerCall(function);
    (is_stepped ? cost.stepped_ns : cost.emulated_ns) = ns;
    target.Detach();
  }
  return cost;
}

Result<std::unique_ptr<HeapTarget>> HeapProbes::Open(int32_t pid,
                                                     uint32_t tracking,
                                                     uint64_t period_bytes) {
  RETURN_IF_ERROR(Calibrate().status());
  // The last one is for measurements.
  uint32_t index = 0;
  while (index + 1 < in_use_.size() && in_use_[index].exchange(true)) ++index;
  if (index + 1 == in_use_.size()) {
    return Status(StatusCode::kExhausted, "too many processes are tracked");
  }
  std::unique_ptr<HeapTarget> target(
      new HeapTarget(*this, index, pid, tracking));
  program_.ClearHeapCounts(target->index_);
  target->SetPeriod(period_bytes);
  pprofd_heap_target& shared = program_.heap_target(target->index_);
  shared.tracking = tracking;
  shared.watches_frees = 0;
  return target;
}

}  // namespace pprofd
