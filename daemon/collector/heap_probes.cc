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
#include <string>
#include <utility>

#include "daemon/collector/seccomp_trial.h"

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
void pprofd_emulated_probe(uint64_t bytes);
void pprofd_stepped_probe(uint64_t bytes);
}

namespace pprofd {
namespace {

constexpr uint8_t kFirstArgument = 5;  // rdi, by DWARF
constexpr uint64_t kNeverSampled = uint64_t{1} << 36;
constexpr int kMeasuredCalls = 400;
constexpr int kMeasuredRounds = 5;
constexpr int kMeasuredOthers = 8;
constexpr int32_t kOtherPid = 1;
// In real programs a hit finds caches cold: measured 1.30 of a loop here in a
// loop of malloc, 1.35 in redis, 1.45 in sqlite.
constexpr double kColdFactor = 1.4;

bool Allocates(const AllocatorFunction& function) {
  return function.kind != PPROFD_HEAP_FREE;
}

std::string PathOf(int file) { return fmt::format("/proc/self/fd/{}", file); }

// Offset in our own file of code of ours.
FileOffset OffsetOf(void (*function)(uint64_t)) {
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

int64_t CpuTimeOfCalls(void (*function)(uint64_t)) {
  timespec before, after;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
  for (int i = 0; i < kMeasuredCalls; ++i) function(64);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
  return (after.tv_sec - before.tv_sec) * 1'000'000'000 + after.tv_nsec -
         before.tv_nsec;
}

int64_t NsPerCall(void (*function)(uint64_t)) {
  std::array<int64_t, kMeasuredRounds> rounds;
  for (int64_t& round : rounds) round = CpuTimeOfCalls(function);
  std::sort(rounds.begin(), rounds.end());
  return static_cast<int64_t>(static_cast<double>(rounds[kMeasuredRounds / 2]) *
                              kColdFactor / kMeasuredCalls);
}

}  // namespace

HeapTarget::HeapTarget(HeapProbes& probes, uint32_t index, int32_t pid,
                       uint32_t tracking)
    : probes_(probes), index_(index), pid_(pid), tracking_(tracking) {}

HeapTarget::~HeapTarget() {
  SetOpen(false);
  Detach();
  if (tracking_ != 0) {
    Status ignored =
        probes_.program_.SetHeapTargetsOpen(probes_.open_.fetch_sub(1) - 1);
  }
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
    total.sampling_ns += counts.sampling_ns;
    for (uint32_t i = 0; i < PPROFD_HEAP_SIZE_CLASSES; ++i) {
      total.allocs_by_size[i] += counts.allocs_by_size[i];
    }
  }
  return total;
}

void HeapTarget::ForgetBlocks() {
  probes_.program_.ForgetLiveBlocks({tracking_});
}

uint64_t HeapTarget::forks() const {
  return std::atomic_ref(probes_.program_.heap_target(index_).forks)
      .load(std::memory_order_relaxed);
}

uint64_t HeapTarget::CookieOf(const AllocatorFunction& function) const {
  uint64_t cookie = function.kind;
  for (size_t i = 0; i < function.registers.size(); ++i) {
    cookie |= uint64_t{function.registers[i]}
              << (PPROFD_HEAP_COOKIE_REGISTER_SHIFT + 4 * i);
  }
  cookie |= (function.probe.value - function.entry.value)
            << PPROFD_HEAP_COOKIE_DELTA_SHIFT;
  return cookie | uint64_t{index_} << PPROFD_HEAP_COOKIE_TARGET_SHIFT |
         uint64_t{generation_} << PPROFD_HEAP_COOKIE_GENERATION_SHIFT;
}

Status HeapTarget::Attach(std::span<const HeapProbeSet> sets,
                          bool watches_frees) {
  ASSIGN_OR_RETURN(ProbeCost cost, probes_.Calibrate());
  // Those in place stay until the new ones are.
  std::vector<UniqueFd> old_fds = std::exchange(fds_, {});
  std::vector<bpf_link*> old_links = std::exchange(links_, {});
  ++generation_;
  Status status;
  for (const HeapProbeSet& set : sets) {
    status = cost.has_sessions ? AttachSession(set, watches_frees)
                               : AttachPairs(set, watches_frees);
    if (!status.ok()) break;
  }
  pprofd_heap_target& shared = probes_.program_.heap_target(index_);
  shared.watches_frees = watches_frees;
  std::atomic_ref(shared.generation)
      .store(generation_, std::memory_order_release);
  old_fds.clear();
  for (bpf_link* link : old_links) bpf_link__destroy(link);
  if (!is_counted_) probes_.attached_.fetch_add(1, std::memory_order_relaxed);
  is_counted_ = true;
  if (!status.ok()) Detach();
  return status;
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
    // An exception does not pass a return probe.
    if (!Allocates(function) || function.kind == PPROFD_HEAP_NEW) continue;
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
  if (!std::exchange(is_counted_, false)) return;
  probes_.attached_.fetch_sub(1, std::memory_order_relaxed);
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
  AllocatorFunction probed;
  probed.name = "a function of pprofd";
  probed.kind = PPROFD_HEAP_MALLOC;
  probed.registers[0] = kFirstArgument;
  HeapProbeSet set{.file = self.get(), .functions = {probed}};
  HeapTarget target(*this, PPROFD_MAX_HEAP_TARGETS - 1, getpid(), 0);
  target.SetPeriod(kNeverSampled);
  ProbeCost cost;
  for (bool is_stepped : {true, false}) {
    auto* function = is_stepped ? pprofd_stepped_probe : pprofd_emulated_probe;
    set.functions[0].entry = set.functions[0].probe = OffsetOf(function);
    ASSIGN_OR_RETURN((is_stepped ? cost.stepped_ns : cost.emulated_ns),
                     MeasureHit(target, set, function, &cost.has_sessions));
  }
  std::vector<std::unique_ptr<HeapTarget>> others;
  for (int i = 0; i < kMeasuredOthers && getpid() != kOtherPid; ++i) {
    others.emplace_back(
        new HeapTarget(*this, PPROFD_MAX_HEAP_TARGETS - 1, kOtherPid, 0));
    Status status = cost.has_sessions ? others.back()->AttachSession(set, true)
                                      : others.back()->AttachPairs(set, true);
    RETURN_IF_ERROR(status);
  }
  ASSIGN_OR_RETURN(
      int64_t crowded,
      MeasureHit(target, set, pprofd_emulated_probe, &cost.has_sessions));
  cost.per_other_ns =
      std::max<int64_t>((crowded - cost.emulated_ns) / kMeasuredOthers, 0);
  cost.kills_confined = KillsConfined(set, cost.has_sessions);
  return cost;
}

Result<int64_t> HeapProbes::MeasureHit(HeapTarget& target,
                                       const HeapProbeSet& set,
                                       void (*function)(uint64_t),
                                       bool* has_sessions) {
  *has_sessions =
      program_.heap_session_fd() >= 0 && target.AttachSession(set, true).ok();
  if (!*has_sessions) RETURN_IF_ERROR(target.AttachPairs(set, true));
  target.SetOpen(true);
  int64_t ns = NsPerCall(function);
  target.SetOpen(false);
  target.Detach();
  return ns;
}

// On a child that is probed at the return of a sampled call.
bool HeapProbes::KillsConfined(const HeapProbeSet& set, bool has_sessions) {
  Result<SeccompTrial> trial = SeccompTrial::Start(pprofd_emulated_probe);
  if (!trial.ok()) return true;
  HeapTarget target(*this, PPROFD_MAX_HEAP_TARGETS - 1, trial->pid(), 0);
  target.SetPeriod(1);
  Status status = has_sessions ? target.AttachSession(set, true)
                               : target.AttachPairs(set, true);
  target.SetOpen(true);
  uint64_t hits = target.ReadCounts().hits;
  if (!status.ok() || !trial->Survives()) return true;
  // It proves nothing unless the call and its return were seen.
  return target.ReadCounts().hits < hits + 2;
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
  RETURN_IF_ERROR(program_.SetHeapTargetsOpen(open_.fetch_add(1) + 1));
  program_.ClearHeapCounts(target->index_);
  target->SetPeriod(period_bytes);
  pprofd_heap_target& shared = program_.heap_target(target->index_);
  shared.tracking = tracking;
  shared.watches_frees = 0;
  shared.forks = 0;
  return target;
}

}  // namespace pprofd
