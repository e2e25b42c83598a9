// MapWriter: the only door to the BPF maps of the unwinder.
//
// collector/bpf_program implements it over libbpf; tests over memory.
// Thread: one owner, the process thread.
// Fails: Exhausted when a map is full, Io when the kernel refuses.
#ifndef DAEMON_MODEL_MAP_WRITER_H_
#define DAEMON_MODEL_MAP_WRITER_H_

#include <cstdint>
#include <span>

#include "bpf/abi.h"
#include "daemon/base/status.h"

namespace pprofd {

class MapWriter {
 public:
  virtual ~MapWriter() = default;

  // Adds the next chunk to the chunk space and returns its bytes, zeroed,
  // PPROFD_CHUNK_BYTES long, writable until this object dies. Costs about 8 ms
  // of waiting (an RCU grace period). Chunks are numbered 0, 1, 2, …
  virtual Result<std::span<uint8_t>> AddChunk() = 0;

  // The global rule array, PPROFD_MAX_RULES long, written in place. A rule must
  // be written before the first row that names it is published.
  virtual std::span<pprofd_unwind_rule> Rules() = 0;

  // Publishes the table of a module: from now on samples use it.
  virtual Status PutModule(const pprofd_file_key& key,
                           const pprofd_module& module) = 0;
  // Forgets a module: its next sample asks for it again.
  virtual Status RemoveModule(const pprofd_file_key& key) = 0;
  // When the kernel half last used it (epoch), for eviction.
  virtual Result<uint32_t> LastUsedEpoch(const pprofd_file_key& key) = 0;
  // Publishes the vDSO's table; module.number is PPROFD_MODULE_VDSO.
  virtual Status PutVdso(const pprofd_module& module) = 0;
  // Starts the next epoch; called every few seconds.
  virtual void SetEpoch(uint32_t epoch) = 0;
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_MAP_WRITER_H_
