#include "daemon/collector/bpf_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <string_view>

#include "daemon/base/telemetry.h"
#include "pprofd_programs.skel.h"

namespace pprofd {
namespace {

constexpr size_t kVerifierLogBytes = 64 << 10;

// What libbpf says of a refused program is long, and its end tells most.
int LogLibbpf(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  char* text = nullptr;
  int length = vasprintf(&text, format, arguments);
  if (length < 0) return length;
  std::string_view line(text, static_cast<size_t>(length));
  while (line.ends_with('\n')) line.remove_suffix(1);
  spdlog::debug("{}", line);
  free(text);
  return length;
}

// The verifier's own count in its log: "processed 58617 insns (limit …".
uint64_t ProcessedInstructions(const char* log) {
  if (log == nullptr) return 0;
  const char* found = strstr(log, "processed ");
  return found == nullptr ? 0
                          : strtoull(found + strlen("processed "), nullptr, 10);
}

Result<MemoryMap> MapArray(int fd, size_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return Status::FromErrno(errno, "mmap of a BPF map");
  return MemoryMap({static_cast<uint8_t*>(data), bytes});
}

// With so much in it the reader must run now; what follows has the rest of the
// ring until it does.
uint64_t WakeupBytes(uint32_t ring_bytes) { return ring_bytes / 8; }

uint32_t NumberOf(ProfileKind kind) {
  switch (kind) {
    case ProfileKind::kCpu:
      return PPROFD_KIND_CPU;
    case ProfileKind::kHeap:
    case ProfileKind::kAllocs:
      return PPROFD_KIND_HEAP;
    case ProfileKind::kRss:
      return PPROFD_KIND_RSS;
  }
  return 0;
}

// The sum over all CPUs of one entry of a map of counters.
uint64_t ReadCounter(const bpf_map* map, uint32_t index) {
  int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return 0;
  std::vector<uint64_t> per_cpu(static_cast<size_t>(cpus));
  if (bpf_map_lookup_elem(bpf_map__fd(map), &index, per_cpu.data()) != 0) {
    return 0;
  }
  return std::accumulate(per_cpu.begin(), per_cpu.end(), uint64_t{0});
}

}  // namespace

// A verifier that refuses the programs for page faults alone shall cost no
// other kind its life.
Result<std::unique_ptr<BpfProgram>> BpfProgram::Load(const Options& options) {
  Result<std::unique_ptr<BpfProgram>> program = TryLoad(options);
  if (program.ok() || options.faults_per_sample == 0) return program;
  Options without = options;
  without.faults_per_sample = 0;
  Result<std::unique_ptr<BpfProgram>> others = TryLoad(without);
  if (!others.ok()) return program;
  (*others)->page_faults_ =
      Status(StatusCode::kUnsupported,
             "this kernel refuses the programs for page faults; run with "
             "--log.level=debug to see why");
  return others;
}

Result<std::unique_ptr<BpfProgram>> BpfProgram::TryLoad(
    const Options& options) {
  libbpf_set_print(LogLibbpf);
  pprofd_programs_bpf* skeleton = pprofd_programs_bpf__open();
  if (skeleton == nullptr) {
    return Status::FromErrno(errno, "cannot open the BPF programs");
  }
  std::unique_ptr<BpfProgram> program(new BpfProgram(skeleton));
  bpf_map__set_max_entries(skeleton->maps.events, options.ring_bytes);
  skeleton->rodata->wakeup_bytes = WakeupBytes(options.ring_bytes);
  // The iterator does not exist before 5.12; ScanModules says so.
  if (libbpf_find_vmlinux_btf_id("task_vma", BPF_TRACE_ITER) <= 0) {
    bpf_program__set_autoload(skeleton->progs.scan_modules, false);
  }
  program->ChooseHeapPrograms();
  program->ChooseRssPrograms(options);
  if (options.wants_verifier_counts) program->AskForVerifierCounts();
  if (pprofd_programs_bpf__load(skeleton) != 0) {
    int error = errno;
    Status status = Status::FromErrno(error, "cannot load the BPF programs");
    // EACCES is the verifier's word, not one about rights.
    const char* advice =
        error == EPERM
            ? "; run as root or with CAP_BPF and CAP_PERFMON"
            : "; run with --log.level=debug to see what the kernel refused";
    return Status(
        error == EPERM ? StatusCode::kDenied : StatusCode::kUnsupported,
        status.message() + advice);
  }
  ASSIGN_OR_RETURN(program->rules_,
                   MapArray(bpf_map__fd(skeleton->maps.rules),
                            PPROFD_MAX_RULES * sizeof(pprofd_unwind_rule)));
  program->RefillNumbers();
  return program;
}

// Both helpers came with 5.15. Whether the kernel knows sessions shows when one
// is attached.
void BpfProgram::ChooseHeapPrograms() {
  auto& progs = skeleton_->progs;
  bool has_cookies =
      libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_get_attach_cookie,
                              nullptr) > 0;
  bool has_addresses =
      has_cookies && libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE,
                                             BPF_FUNC_get_func_ip, nullptr) > 0;
  bpf_program__set_autoload(progs.heap_entry, has_cookies);
  bpf_program__set_autoload(progs.heap_return, has_cookies);
  bpf_program__set_autoload(progs.heap_fork, has_cookies);
  // Not for the cookies: for the atomic instructions of 5.12.
  bpf_program__set_autoload(progs.heap_told_sample, has_cookies);
  bpf_program__set_autoload(progs.heap_told_free, has_cookies);
  bpf_program__set_autoload(progs.heap_session, has_addresses);
  bpf_program__set_expected_attach_type(
      progs.heap_session, static_cast<bpf_attach_type>(kUprobeSession));
}

void BpfProgram::ChooseRssPrograms(const Options& options) {
  bool is_wanted = options.faults_per_sample != 0;
  if (is_wanted &&
      (libbpf_find_vmlinux_btf_id("page_fault_user", BPF_TRACE_RAW_TP) <= 0 ||
       libbpf_find_vmlinux_btf_id("page_fault_kernel", BPF_TRACE_RAW_TP) <=
           0)) {
    page_faults_ = Status(StatusCode::kUnsupported,
                          "this kernel has no tracepoints for page faults");
    is_wanted = false;
  }
  bpf_program__set_autoload(skeleton_->progs.rss_user, is_wanted);
  bpf_program__set_autoload(skeleton_->progs.rss_kernel, is_wanted);
  if (!is_wanted) return;
  skeleton_->rodata->faults_per_sample = options.faults_per_sample;
  skeleton_->rodata->page_bytes = static_cast<uint64_t>(getpagesize());
}

void BpfProgram::AskForVerifierCounts() {
  // BPF_LOG_STATS: the summary only, known to every supported kernel.
  static constexpr uint32_t kLogStats = 4;
  bpf_program* prog = nullptr;
  while ((prog = bpf_object__next_program(skeleton_->obj, prog)) != nullptr) {
    auto log = std::make_unique<char[]>(kVerifierLogBytes);
    bpf_program__set_log_level(prog, kLogStats);
    bpf_program__set_log_buf(prog, log.get(), kVerifierLogBytes);
    verifier_logs_.push_back(std::move(log));
  }
}

BpfProgram::~BpfProgram() {
  for (bpf_link* link : links_) bpf_link__destroy(link);
  pprofd_programs_bpf__destroy(skeleton_);
}

Result<std::pair<uint64_t, uint64_t>> BpfProgram::FindOwnMapping(
    uint64_t address) {
  uint64_t arguments[1] = {address};
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = arguments,
              .ctx_size_in = sizeof(arguments));
  if (bpf_prog_test_run_opts(
          bpf_program__fd(skeleton_->progs.find_mapping_once), &options) != 0) {
    return Status::FromErrno(errno, "cannot run the self-test program");
  }
  const auto& found = skeleton_->bss->found_mapping;
  vdso_address_ = found[2];
  return std::pair<uint64_t, uint64_t>(found[0], found[1]);
}

Status BpfProgram::CheckVmaWalk() {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  int checked = 0;
  while (std::getline(maps, line)) {
    unsigned long long start = 0, limit = 0;
    if (sscanf(line.c_str(), "%llx-%llx ", &start, &limit) != 2) continue;
    // Outside the VMA tree, or growing while we look.
    if (line.find("[vsyscall]") != std::string::npos ||
        line.find("[stack]") != std::string::npos ||
        line.find("[heap]") != std::string::npos) {
      continue;
    }
    for (uint64_t address : {start, limit - 1}) {
      ASSIGN_OR_RETURN(auto found, FindOwnMapping(address));
      if (found.first != start || found.second != limit) {
        return Status(StatusCode::kUnsupported,
                      fmt::format("the VMA tree of this kernel is not as "
                                  "expected: {:x}-{:x} instead of {}; please "
                                  "report the kernel version",
                                  found.first, found.second, line));
      }
    }
    ++checked;
  }
  return checked > 0 ? Status::Ok()
                     : Status(StatusCode::kIo, "cannot read /proc/self/maps");
}

Status BpfProgram::AttachProcessEvents() {
  for (bpf_program* prog :
       {skeleton_->progs.process_exec, skeleton_->progs.process_exit}) {
    bpf_link* link = bpf_program__attach(prog);
    if (link == nullptr) {
      return Status::FromErrno(
          errno, std::string("cannot attach ") + bpf_program__name(prog));
    }
    links_.push_back(link);
  }
  return Status::Ok();
}

Status BpfProgram::AttachPageFaults() {
  RETURN_IF_ERROR(page_faults_);
  bpf_link* user = bpf_program__attach(skeleton_->progs.rss_user);
  bpf_link* kernel = user == nullptr
                         ? nullptr
                         : bpf_program__attach(skeleton_->progs.rss_kernel);
  if (kernel == nullptr) {
    Status why = Status::FromErrno(errno, "cannot trace page faults");
    bpf_link__destroy(user);
    return why;
  }
  links_.push_back(user);
  links_.push_back(kernel);
  return Status::Ok();
}

Status BpfProgram::ScanModules() {
  if (!bpf_program__autoload(skeleton_->progs.scan_modules)) {
    return Status(StatusCode::kUnsupported,
                  "no task_vma iterator before Linux 5.12");
  }
  bpf_link* link =
      bpf_program__attach_iter(skeleton_->progs.scan_modules, nullptr);
  if (link == nullptr) {
    return Status::FromErrno(errno, "cannot attach the module scan");
  }
  links_.push_back(link);
  UniqueFd iterator(bpf_iter_create(bpf_link__fd(link)));
  if (!iterator)
    return Status::FromErrno(errno, "cannot start the module scan");
  char buffer[4096];
  ssize_t bytes;
  while ((bytes = read(iterator.get(), buffer, sizeof(buffer))) > 0 ||
         (bytes < 0 && errno == EINTR)) {
    RefillNumbers();
  }
  if (bytes < 0) return Status::FromErrno(errno, "the module scan failed");
  return Status::Ok();
}

void BpfProgram::RefillNumbers() {
  std::lock_guard lock(numbers_mutex_);
  int fd = bpf_map__fd(skeleton_->maps.numbers);
  while (next_number_ <= PPROFD_FRAME_MODULE_MASK &&
         bpf_map_update_elem(fd, nullptr, &next_number_, BPF_ANY) == 0) {
    ++next_number_;
  }
}

ModuleId BpfProgram::TakeNumber() {
  std::lock_guard lock(numbers_mutex_);
  if (next_number_ > PPROFD_FRAME_MODULE_MASK) return ModuleId::kNone;
  return static_cast<ModuleId>(next_number_++);
}

int BpfProgram::ring_fd() const { return bpf_map__fd(skeleton_->maps.events); }
int BpfProgram::cpu_program_fd() const {
  return bpf_program__fd(skeleton_->progs.cpu);
}
int BpfProgram::cpu_capture_program_fd() const {
  return bpf_program__fd(skeleton_->progs.cpu_capture);
}

bool BpfProgram::has_heap_programs() const {
  return bpf_program__fd(skeleton_->progs.heap_entry) >= 0;
}
int BpfProgram::heap_session_fd() const {
  return bpf_program__fd(skeleton_->progs.heap_session);
}
bpf_program* BpfProgram::heap_entry() const {
  return skeleton_->progs.heap_entry;
}
bpf_program* BpfProgram::heap_return() const {
  return skeleton_->progs.heap_return;
}
pprofd_heap_target& BpfProgram::heap_target(uint32_t index) {
  return skeleton_->bss->heap_targets[index];
}

std::vector<pprofd_heap_counts> BpfProgram::ReadHeapCounts(
    uint32_t index) const {
  int cpus = libbpf_num_possible_cpus();
  std::vector<pprofd_heap_counts> counts(
      static_cast<size_t>(std::max(cpus, 0)));
  if (counts.empty() ||
      bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.heap_counts), &index,
                          counts.data()) != 0) {
    return {};
  }
  return counts;
}

void BpfProgram::ClearHeapCounts(uint32_t index) {
  int cpus = libbpf_num_possible_cpus();
  std::vector<pprofd_heap_counts> zero(static_cast<size_t>(std::max(cpus, 1)));
  bpf_map_update_elem(bpf_map__fd(skeleton_->maps.heap_counts), &index,
                      zero.data(), BPF_ANY);
}

void BpfProgram::ForgetLiveBlocks(const std::set<uint32_t>& trackings) {
  int fd = bpf_map__fd(skeleton_->maps.live_blocks);
  pprofd_live_block key{};
  pprofd_live_block next{};
  bool has_next = bpf_map_get_next_key(fd, nullptr, &next) == 0;
  // Others add and remove meanwhile, which may begin the walk anew: bounded.
  for (int i = 0; has_next && i < 4 * PPROFD_MAX_LIVE_BLOCKS; ++i) {
    key = next;
    has_next = bpf_map_get_next_key(fd, &key, &next) == 0;
    if (trackings.contains(key.tracking)) bpf_map_delete_elem(fd, &key);
  }
}

Status BpfProgram::SetHeapTargetsOpen(uint32_t count) {
  std::lock_guard lock(heap_mutex_);
  skeleton_->bss->heap_targets_open = count;
  if (count == 0 || follows_forks_) return Status::Ok();
  bpf_link* link = bpf_program__attach(skeleton_->progs.heap_fork);
  if (link == nullptr) return Status::FromErrno(errno, "cannot follow forks");
  links_.push_back(link);
  follows_forks_ = true;
  return Status::Ok();
}

bpf_program* BpfProgram::heap_told_sample() const {
  return skeleton_->progs.heap_told_sample;
}
bpf_program* BpfProgram::heap_told_free() const {
  return skeleton_->progs.heap_told_free;
}

// The kernel half does the same at a process's first sample; who comes first,
// wins.
Result<uint32_t> BpfProgram::NumberPreloaded(uint32_t tgid,
                                             uint64_t start_ticks) {
  int fd = bpf_map__fd(skeleton_->maps.preloaded);
  pprofd_preloaded known{};
  if (bpf_map_lookup_elem(fd, &tgid, &known) == 0 &&
      known.start_ticks == start_ticks) {
    return known.tracking;
  }
  uint32_t last = std::atomic_ref(skeleton_->bss->preload_trackings)
                      .fetch_add(1, std::memory_order_relaxed);
  known = {.start_ticks = start_ticks,
           .exec_id = 0,
           .tracking = PPROFD_PRELOAD_TRACKING | (last + 1),
           .live_blocks = 0};
  if (bpf_map_update_elem(fd, &tgid, &known, BPF_ANY) != 0) {
    return Status::FromErrno(errno, "too many processes are tracked");
  }
  return known.tracking;
}

void BpfProgram::ForgetPreloaded(uint32_t tgid, uint32_t number) {
  int fd = bpf_map__fd(skeleton_->maps.preloaded);
  pprofd_preloaded known{};
  if (bpf_map_lookup_elem(fd, &tgid, &known) == 0 && known.tracking == number) {
    bpf_map_delete_elem(fd, &tgid);
  }
}

std::vector<std::pair<uint32_t, uint32_t>> BpfProgram::ListPreloaded() const {
  int fd = bpf_map__fd(skeleton_->maps.preloaded);
  std::vector<std::pair<uint32_t, uint32_t>> found;
  uint32_t tgid = 0;
  bool has_next = bpf_map_get_next_key(fd, nullptr, &tgid) == 0;
  // Others come meanwhile, which may begin the walk anew: bounded.
  for (int i = 0; has_next && i < 2 * PPROFD_MAX_PRELOADED; ++i) {
    pprofd_preloaded known{};
    if (bpf_map_lookup_elem(fd, &tgid, &known) == 0) {
      found.emplace_back(tgid, known.tracking);
    }
    has_next = bpf_map_get_next_key(fd, &tgid, &tgid) == 0;
  }
  return found;
}

CaptureSlots BpfProgram::capture_slots() {
  return CaptureSlots(std::span<pprofd_capture_slot, PPROFD_CAPTURE_SLOTS>(
                          skeleton_->bss->capture_slots, PPROFD_CAPTURE_SLOTS),
                      &skeleton_->bss->whole_host_captures);
}

uint64_t BpfProgram::ReadReason(uint32_t reason) const {
  return ReadCounter(skeleton_->maps.reasons, reason);
}

uint64_t BpfProgram::ReadLosses(ProfileKind kind) const {
  return ReadCounter(skeleton_->maps.losses, NumberOf(kind));
}

std::vector<ProgramCost> BpfProgram::ReadCosts() const {
  std::vector<ProgramCost> costs;
  bpf_program* prog = nullptr;
  while ((prog = bpf_object__next_program(skeleton_->obj, prog)) != nullptr) {
    bpf_prog_info info = {};
    uint32_t size = sizeof(info);
    int fd = bpf_program__fd(prog);
    if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) != 0) continue;
    size_t log_bytes = 0;
    const char* log = bpf_program__log_buf(prog, &log_bytes);
    uint64_t verified = info.verified_insns != 0 ? info.verified_insns
                                                 : ProcessedInstructions(log);
    costs.push_back(
        {bpf_program__name(prog), verified, info.run_time_ns, info.run_cnt});
  }
  return costs;
}

Result<std::span<uint8_t>> BpfProgram::AddChunk() {
  uint32_t index = static_cast<uint32_t>(chunks_.size());
  if (index >= PPROFD_MAX_CHUNKS) {
    return Status(StatusCode::kExhausted, "all chunks of unwind rows in use");
  }
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
  UniqueFd chunk(bpf_map_create(BPF_MAP_TYPE_ARRAY, "pprofd_chunk",
                                sizeof(uint32_t), PPROFD_CHUNK_BYTES, 1,
                                &options));
  if (!chunk) return Status::FromErrno(errno, "cannot create a chunk of rows");
  ASSIGN_OR_RETURN(MemoryMap bytes, MapArray(chunk.get(), PPROFD_CHUNK_BYTES));
  int fd = chunk.get();
  if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.chunks), &index, &fd,
                          BPF_ANY) != 0) {
    return Status::FromErrno(errno, "cannot publish a chunk of rows");
  }
  std::span<uint8_t> span(bytes.get().data, bytes.get().size);
  chunk_fds_.push_back(std::move(chunk));
  chunks_.push_back(std::move(bytes));
  return span;
}

std::span<pprofd_unwind_rule> BpfProgram::Rules() {
  return {reinterpret_cast<pprofd_unwind_rule*>(rules_.get().data),
          PPROFD_MAX_RULES};
}

Status BpfProgram::PutModule(const pprofd_file_key& key,
                             const pprofd_module& module) {
  if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.modules), &key, &module,
                          BPF_ANY) != 0) {
    return Status::FromErrno(errno, "cannot publish a module");
  }
  BumpModulesVersion();
  return Status::Ok();
}

Status BpfProgram::RemoveModule(const pprofd_file_key& key) {
  if (bpf_map_delete_elem(bpf_map__fd(skeleton_->maps.modules), &key) != 0 &&
      errno != ENOENT) {
    return Status::FromErrno(errno, "cannot forget a module");
  }
  BumpModulesVersion();
  return Status::Ok();
}

Result<uint32_t> BpfProgram::LastUsedEpoch(const pprofd_file_key& key) {
  pprofd_module module;
  if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.modules), &key,
                          &module) != 0) {
    return Status::FromErrno(errno, "cannot read a module");
  }
  return module.last_used_epoch;
}

Status BpfProgram::PutVdso(const pprofd_module& module) {
  // Samples may be taken already: they see it ready when all of it is there.
  pprofd_module& shared = skeleton_->bss->vdso_module;
  pprofd_module unready = module;
  unready.flags = 0;
  shared = unready;
  std::atomic_ref(shared.flags).store(module.flags, std::memory_order_release);
  BumpModulesVersion();
  return Status::Ok();
}

void BpfProgram::SetEpoch(uint32_t epoch) {
  skeleton_->bss->epoch = epoch;
  BumpModulesVersion();
}

// A sample that sees the new version sees what was written before it.
void BpfProgram::BumpModulesVersion() {
  std::atomic_ref(skeleton_->bss->modules_version)
      .fetch_add(1, std::memory_order_release);
}

}  // namespace pprofd
