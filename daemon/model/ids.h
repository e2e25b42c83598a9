// Identities and addresses: one type per meaning, converted in one place.
//
// Thread: values.
#ifndef DAEMON_MODEL_IDS_H_
#define DAEMON_MODEL_IDS_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/abi.h"

namespace pprofd {

// A process: pids are reused, pairs of pid and start time are not. The start
// time is in the clock ticks of /proc/PID/stat field 22 (10 ms), which is what
// the kernel half's nanoseconds are rounded down to.
struct ProcessKey {
  int32_t pid = 0;
  uint64_t start_ticks = 0;
  auto operator<=>(const ProcessKey&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const ProcessKey& key) {
    return H::combine(std::move(h), key.pid, key.start_ticks);
  }
};
inline uint64_t StartTicks(uint64_t start_time_ns) {
  return start_time_ns / 10'000'000;
}

// An address in a process · in a module's ELF address space · in its file.
struct VirtualAddr {
  uint64_t value = 0;
  auto operator<=>(const VirtualAddr&) const = default;
};
struct ModuleAddr {
  uint64_t value = 0;
  auto operator<=>(const ModuleAddr&) const = default;
};
struct FileOffset {
  uint64_t value = 0;
  auto operator<=>(const FileOffset&) const = default;
};

// A module's number, given by the kernel half at its first sample and never
// used again for another file while pprofd runs.
enum class ModuleId : uint32_t {
  kNone = PPROFD_MODULE_NONE,
  kVdso = PPROFD_MODULE_VDSO,
};

// Raw bytes of the GNU build-ID note, or of a labelled hash when absent.
class BuildId {
 public:
  BuildId() = default;
  explicit BuildId(std::string bytes) : bytes_(std::move(bytes)) {}
  const std::string& bytes() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }
  std::string Hex() const;  // lower case
  auto operator<=>(const BuildId&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const BuildId& id) {
    return H::combine(std::move(h), id.bytes_);
  }

 private:
  std::string bytes_;
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_IDS_H_
