// PreloadProbes: listens to processes that sample their allocations themselves.
//
// libpprofd_heap.so calls two functions that do nothing; probes on them, put on
// the library's file, see every process that has it, from its first
// instruction. Where nobody has the library they cost nothing.
// Owns: the links. Borrows: BpfProgram, which outlives it.
// Thread: any; locks itself.
// Bound: kMaxLibraries files, then the oldest is not listened to any more;
//   PPROFD_MAX_PRELOADED processes.
// Fails: Denied, Unsupported and Io as the kernel says.
#ifndef DAEMON_COLLECTOR_PRELOAD_PROBES_H_
#define DAEMON_COLLECTOR_PRELOAD_PROBES_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/collector/bpf_program.h"
#include "daemon/collector/heap_probes.h"
#include "daemon/model/ids.h"

struct bpf_link;

namespace pprofd {

class PreloadProbes {
 public:
  static constexpr size_t kMaxLibraries = 64;

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
  // Forgets those that are gone and that nobody knows; removes the blocks of
  // all forgotten ones, for which it walks through those of all. Now and then.
  void Sweep(const std::function<bool(uint32_t number)>& is_known);

 private:
  struct Library {
    dev_t device = 0;
    ino_t inode = 0;
    std::vector<bpf_link*> links;
  };

  BpfProgram& program_;
  mutable std::mutex mutex_;
  // mutex_:
  std::vector<Library> libraries_;
  std::set<uint32_t> forgotten_;  // whose blocks are still to be removed
};

}  // namespace pprofd

#endif  // DAEMON_COLLECTOR_PRELOAD_PROBES_H_
