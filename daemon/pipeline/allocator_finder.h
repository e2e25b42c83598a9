// AllocatorFinder: which allocator functions a process really calls.
//
// Names do not tell: a process that has libc mapped may get its memory from
// jemalloc. What the dynamic linker wrote into the slots of the process's
// modules does, so those are read from its memory. A program without a dynamic
// linker calls its own.
// Borrows: the symbolizer that reads the files.
// Thread: any. Does I/O: some 10 to 100 ms for a process.
// Bound: kMaxModules files of a process; the rest is not looked at.
// Fails: with a text that says what was found and what would help.
#ifndef DAEMON_PIPELINE_ALLOCATOR_FINDER_H_
#define DAEMON_PIPELINE_ALLOCATOR_FINDER_H_

#include <chrono>
#include <string>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/collector/heap_probes.h"
#include "daemon/model/module.h"
#include "daemon/process/proc_files.h"
#include "daemon/symbolizer_client/symbolizer_client.h"

namespace pprofd {

// The allocators of a process, with the files that hold them.
struct FoundAllocators {
  struct Allocator {
    std::string family;
    std::string path;
    UniqueFd file;
    std::vector<AllocatorFunction> functions;
  };
  std::vector<Allocator> allocators;

  std::vector<HeapProbeSet> probe_sets() const;
  // "glibc in /usr/lib/x86_64-linux-gnu/libc.so.6"
  std::string description() const;
  // False: some probes would be single-stepped.
  bool is_emulated() const;
  bool has_throwing_new() const;
  // libpprofd_heap.so, when it stands in front; else null.
  const Allocator* preload() const;

  VirtualAddr first_mapping;  // another one when it runs another program
};

class AllocatorFinder {
 public:
  static constexpr size_t kMaxModules = 512;

  explicit AllocatorFinder(SymbolizerClient& symbolizer)
      : symbolizer_(symbolizer) {}

  using Deadline = std::chrono::steady_clock::time_point;

  // Files that were not read by the deadline are not looked at.
  Result<FoundAllocators> Find(const ProcessDir& process,
                               Deadline deadline) const;
  // False when the process runs another program than the one that began there.
  bool IsStill(const ProcessDir& process, VirtualAddr first_mapping) const;

 private:
  // A file that the process has mapped to execute.
  struct Candidate {
    Module module;
    VirtualAddr start;  // of its first executable mapping
    FileOffset offset;
    AllocatorReport report;
    bool is_main = false;  // the program itself
    bool is_used = false;
  };

  std::vector<Candidate> ReadModules(const ProcessDir& process,
                                     const ProcMaps& maps,
                                     Deadline deadline) const;
  // Marks the modules that slots point into.
  static void FollowSlots(const ProcessDir& process, const ProcMaps& maps,
                          std::vector<Candidate>* candidates);
  static Status Choose(std::vector<Candidate>* candidates);

  SymbolizerClient& symbolizer_;
};

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_ALLOCATOR_FINDER_H_
