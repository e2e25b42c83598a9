// BpfProgram: the kernel half: opened, sized, loaded, attached.
//
// Owns: every BPF handle (object, links, mapped chunks). Borrows: nothing.
// Thread: Load on one thread; then MapWriter methods on the process thread,
//   ring access on the reader thread, the rest from any thread (they are single
//   system calls).
// Bound: the ring is Options::ring_bytes; maps as said in bpf/maps.h.
// Fails: Denied or Unsupported with one message that says what is missing.
#ifndef DAEMON_COLLECTOR_BPF_PROGRAM_H_
#define DAEMON_COLLECTOR_BPF_PROGRAM_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/collector/capture_slots.h"
#include "daemon/model/ids.h"
#include "daemon/model/map_writer.h"
#include "daemon/model/profile_kind.h"

struct pprofd_programs_bpf;
struct bpf_link;
struct bpf_program;

namespace pprofd {

// BPF_TRACE_UPROBE_SESSION, of Linux 6.13 on.
inline constexpr int kUprobeSession = 57;

struct ProgramCost {
  std::string name;
  uint64_t verified_instructions = 0;  // 0 = the kernel does not tell
  uint64_t run_time_ns = 0;            // with kernel.bpf_stats_enabled only
  uint64_t run_count = 0;
};

class BpfProgram : public MapWriter {
 public:
  struct Options {
    uint32_t ring_bytes = 1 << 20;  // a power of two
    // Page faults that one sample of them stands for; 0 = none is taken.
    uint32_t faults_per_sample = 0;
    // Keep what the verifier counted; kernels before 5.16 tell it only while
    // loading.
    bool wants_verifier_counts = false;
  };
  static Result<std::unique_ptr<BpfProgram>> Load(const Options& options);
  ~BpfProgram() override;
  BpfProgram(const BpfProgram&) = delete;
  BpfProgram& operator=(const BpfProgram&) = delete;

  // Compares the VMA walk with /proc/self/maps. Unsupported: they differ.
  Status CheckVmaWalk();
  // Attaches the exec and exit tracepoints.
  Status AttachProcessEvents();
  // Begins to sample page faults. Fails when this kernel has no tracepoints for
  // them, or refused the programs; the other kinds are not concerned.
  // REQUIRES: Options::faults_per_sample was not 0.
  Status AttachPageFaults();
  // Gives a number to every file that is mapped executable now, with an event
  // for each. Unsupported before Linux 5.12; samples then find them one by one.
  Status ScanModules();
  // Hands fresh module numbers to the kernel half; called every second or so.
  void RefillNumbers();
  // A number for a module that the daemon found by itself.
  ModuleId TakeNumber();

  int ring_fd() const;
  int cpu_program_fd() const;
  int cpu_capture_program_fd() const;
  // Of this object; for one owner.
  CaptureSlots capture_slots();

  // For PreloadProbes.
  bpf_program* heap_told_sample() const;
  bpf_program* heap_told_free() const;
  Result<uint32_t> NumberPreloaded(uint32_t tgid, uint64_t start_ticks);
  void ForgetPreloaded(uint32_t tgid, uint32_t number);
  // All that are numbered: process and number.
  std::vector<std::pair<uint32_t, uint32_t>> ListPreloaded() const;

  // For HeapProbes. REQUIRES: has_heap_programs(), index <
  // PPROFD_MAX_HEAP_TARGETS.
  bool has_heap_programs() const;
  int heap_session_fd() const;  // -1: the kernel cannot load it
  bpf_program* heap_entry() const;
  bpf_program* heap_return() const;
  pprofd_heap_target& heap_target(uint32_t index);
  std::vector<pprofd_heap_counts> ReadHeapCounts(uint32_t index) const;
  void ClearHeapCounts(uint32_t index);
  // Removes all blocks of these trackings, however many.
  void ForgetLiveBlocks(const std::set<uint32_t>& trackings);
  // How many targets have a process. From the first on forks are counted.
  Status SetHeapTargetsOpen(uint32_t count);

  // Losses and cuts that the kernel half has counted under a reason number.
  uint64_t ReadReason(uint32_t reason) const;
  // Samples of a kind that the kernel half could not send.
  uint64_t ReadLosses(ProfileKind kind) const;
  std::vector<ProgramCost> ReadCosts() const;
  // Start of the caller's vDSO as the kernel half sees it.
  uint64_t vdso_address() const { return vdso_address_; }

  // MapWriter:
  Result<std::span<uint8_t>> AddChunk() override;
  std::span<pprofd_unwind_rule> Rules() override;
  Status PutModule(const pprofd_file_key& key,
                   const pprofd_module& module) override;
  Status RemoveModule(const pprofd_file_key& key) override;
  Result<uint32_t> LastUsedEpoch(const pprofd_file_key& key) override;
  Status PutVdso(const pprofd_module& module) override;
  void SetEpoch(uint32_t epoch) override;

 private:
  explicit BpfProgram(pprofd_programs_bpf* skeleton) : skeleton_(skeleton) {}
  static Result<std::unique_ptr<BpfProgram>> TryLoad(const Options& options);
  void ChooseHeapPrograms();
  void ChooseRssPrograms(const Options& options);
  void AskForVerifierCounts();
  void BumpModulesVersion();
  Result<std::pair<uint64_t, uint64_t>> FindOwnMapping(uint64_t address);

  pprofd_programs_bpf* const skeleton_;
  std::vector<bpf_link*> links_;
  std::vector<std::unique_ptr<char[]>> verifier_logs_;
  std::vector<UniqueFd> chunk_fds_;
  std::vector<MemoryMap> chunks_;
  MemoryMap rules_;
  Status page_faults_;  // why they cannot be sampled
  std::mutex heap_mutex_;
  bool follows_forks_ = false;  // guarded by heap_mutex_
  std::mutex numbers_mutex_;
  uint32_t next_number_ = PPROFD_FIRST_MODULE;  // guarded by numbers_mutex_
  uint64_t vdso_address_ = 0;
};

}  // namespace pprofd

#endif  // DAEMON_COLLECTOR_BPF_PROGRAM_H_
