// PreloadProbes: listens to processes that sample their allocations themselves.
//
// libpprofd_heap.so calls two functions that do nothing; probes on them, put on
// the library's file, see every process that has it, from its first
// instruction. Where nobody has the library they cost nothing.
// Owns: the links. Borrows: BpfProgram, which outlives it.
// Thread: any; locks itself.
// Bound: kMaxLibraries files, PPROFD_MAX_PRELOADED processes.
// Fails: Exhausted; Denied, Unsupported and Io as the kernel says.
#ifndef DAEMON_COLLECTOR_PRELOAD_PROBES_H_
#define DAEMON_COLLECTOR_PRELOAD_PROBES_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/collector/bpf_program.h"
#include "daemon/collector/heap_probes.h"
#include "daemon/model/ids.h"

struct bpf_link;

namespace pprofd {

class PreloadProbes {
 public:
  static constexpr size_t kMaxLibraries = 16;

  explicit PreloadProbes(BpfProgram& program) : program_(program) {}
  ~PreloadProbes();
  PreloadProbes(const PreloadProbes&) = delete;
  PreloadProbes& operator=(const PreloadProbes&) = delete;

  // Whether this very file has probes.
  bool Has(int file) const;
  // `library`: its functions of kind PPROFD_HEAP_TOLD_*. Does nothing when the
  // file has probes.
  Status Attach(const HeapProbeSet& library);

  // The number that samples of the process carry, also of later ones. It is
  // another one when it runs another program.
  Result<uint32_t> NumberOf(const ProcessKey& process);
  // The process is gone, or runs another program by now.
  void Forget(int32_t pid, uint32_t number);

 private:
  struct Library {
    dev_t device = 0;
    ino_t inode = 0;
    std::vector<bpf_link*> links;
  };

  BpfProgram& program_;
  mutable std::mutex mutex_;
  std::vector<Library> libraries_;  // mutex_
};

}  // namespace pprofd

#endif  // DAEMON_COLLECTOR_PRELOAD_PROBES_H_
