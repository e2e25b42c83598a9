#include "daemon/collector/preload_probes.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

namespace pprofd {
namespace {

constexpr pid_t kEveryProcess = -1;

}  // namespace

PreloadProbes::~PreloadProbes() {
  for (const Library& library : libraries_) {
    for (bpf_link* link : library.links) bpf_link__destroy(link);
  }
}

bool PreloadProbes::Has(int file) const {
  struct stat stat;
  if (fstat(file, &stat) != 0) return false;
  std::lock_guard lock(mutex_);
  return std::ranges::any_of(libraries_, [&](const Library& library) {
    return library.device == stat.st_dev && library.inode == stat.st_ino;
  });
}

Status PreloadProbes::Attach(const HeapProbeSet& library) {
  if (Has(library.file)) return Status::Ok();
  if (!program_.has_heap_programs()) {
    return Status(StatusCode::kUnsupported, "it needs Linux 5.15");
  }
  struct stat stat;
  if (fstat(library.file, &stat) != 0) return Status::FromErrno(errno, "fstat");
  std::lock_guard lock(mutex_);
  Library added{.device = stat.st_dev, .inode = stat.st_ino, .links = {}};
  std::string path = fmt::format("/proc/self/fd/{}", library.file);
  Status status;
  for (const AllocatorFunction& function : library.functions) {
    bpf_program* program = function.kind == PPROFD_HEAP_TOLD_SAMPLE
                               ? program_.heap_told_sample()
                               : program_.heap_told_free();
    bpf_link* link = bpf_program__attach_uprobe(
        program, false, kEveryProcess, path.c_str(), function.entry.value);
    if (link == nullptr) {
      status = Status::FromErrno(
          errno, "the kernel refused a probe on " + function.name);
      break;
    }
    added.links.push_back(link);
  }
  if (!status.ok()) {
    for (bpf_link* link : added.links) bpf_link__destroy(link);
    return status;
  }
  // Whether a file has users left cannot be told: of many copies the first are
  // the likeliest to be gone.
  if (libraries_.size() >= kMaxLibraries) {
    for (bpf_link* link : libraries_.front().links) bpf_link__destroy(link);
    libraries_.erase(libraries_.begin());
  }
  libraries_.push_back(std::move(added));
  return Status::Ok();
}

Result<uint32_t> PreloadProbes::NumberOf(const ProcessKey& process) {
  return program_.NumberPreloaded(static_cast<uint32_t>(process.pid),
                                  process.start_ticks);
}

void PreloadProbes::Forget(int32_t pid, uint32_t number) {
  program_.ForgetPreloaded(static_cast<uint32_t>(pid), number);
  std::lock_guard lock(mutex_);
  forgotten_.insert(number);
}

void PreloadProbes::Sweep(
    const std::function<bool(uint32_t number)>& is_known) {
  for (auto [tgid, number] : program_.ListPreloaded()) {
    auto pid = static_cast<int32_t>(tgid);
    bool is_gone = kill(pid, 0) != 0 && errno == ESRCH;
    if (is_gone && !is_known(number)) Forget(pid, number);
  }
  std::set<uint32_t> forgotten;
  {
    std::lock_guard lock(mutex_);
    forgotten.swap(forgotten_);
  }
  if (!forgotten.empty()) program_.ForgetLiveBlocks(forgotten);
}

}  // namespace pprofd
