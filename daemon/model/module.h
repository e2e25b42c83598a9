// Module: what code is mapped from: an executable, shared object or the vDSO.
//
// Immutable once made; shared by reference count between the process thread and
// queries, so that a module outlives its processes for as long as a window of
// history needs it.
#ifndef DAEMON_MODEL_MODULE_H_
#define DAEMON_MODEL_MODULE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bpf/abi.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"

namespace pprofd {

// One PT_LOAD segment.
struct LoadSegment {
  FileOffset offset;
  ModuleAddr address;
  uint64_t file_size = 0;
  bool is_executable = false;
};

struct Module {
  ModuleId id = ModuleId::kNone;
  pprofd_file_key key{};
  std::string path;  // as the target sees it, " (deleted)" removed
  std::string root;  // prefix under which the target's files are seen, or ""
  BuildId build_id;  // empty when the file has no note
  UniqueFd file;     // read-only; null when it could not be opened
  std::vector<LoadSegment> segments;
  std::string unavailable_reason;  // why `file` is null or is no ELF file

  // The module address of a file offset; none outside every segment.
  std::optional<ModuleAddr> ToModuleAddr(FileOffset offset) const {
    for (const LoadSegment& segment : segments) {
      if (offset.value >= segment.offset.value &&
          offset.value - segment.offset.value < segment.file_size) {
        return ModuleAddr{offset.value - segment.offset.value +
                          segment.address.value};
      }
    }
    return std::nullopt;
  }
};
using ModuleRef = std::shared_ptr<const Module>;

}  // namespace pprofd

#endif  // DAEMON_MODEL_MODULE_H_
