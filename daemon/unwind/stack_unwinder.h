// StackUnwinder: unwinds a copied stack in userspace, with all registers.
//
// For samples whose file had no table yet and for rules that do not fit eight
// bytes. Needs no process: registers, stack bytes, mappings and files suffice.
// Owns: indexes of the files used last. Borrows: nothing.
// Thread: one.
// Bound: PPROFD_MAX_USER_FRAMES frames; kMaxIndexes indexes, and of kMaxBytes
//   in all but for the last.
#ifndef DAEMON_UNWIND_STACK_UNWINDER_H_
#define DAEMON_UNWIND_STACK_UNWINDER_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "daemon/model/frame.h"
#include "daemon/model/module.h"
#include "daemon/model/sample.h"
#include "daemon/unwind/cfi_index.h"

namespace pprofd {

struct UnwoundStack {
  std::vector<Frame> frames;  // leaf first, without a reason frame
  UnwindResult result = UnwindResult::kTruncated;
  uint32_t reason = PPROFD_REASON_NONE;  // when truncated
  ModuleId reason_module = ModuleId::kNone;
};

class StackUnwinder {
 public:
  static constexpr size_t kMaxIndexes = 256;
  static constexpr size_t kMaxBytes = 64u << 20;

  // The executable mapping around an address.
  using FindMapping = std::function<std::optional<Mapping>(VirtualAddr)>;
  // Null for a module that is not known; its file may be null.
  using FindModule = std::function<ModuleRef(ModuleId)>;

  UnwoundStack Unwind(const RawStack& raw, const FindMapping& find_mapping,
                      const FindModule& find_module);

 private:
  struct CachedIndex {
    ModuleId module = ModuleId::kNone;
    std::unique_ptr<CfiIndex> index;  // null: not an ELF file we can read
  };

  // Null with `reason` when there is none.
  CfiIndex* FindIndex(ModuleId module, const FindModule& find_module,
                      uint32_t* reason);

  void DropOldest();

  std::list<CachedIndex> indexes_;  // most recently used first
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_STACK_UNWINDER_H_
