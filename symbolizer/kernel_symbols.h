// KernelSymbols: names of kernel addresses: vmlinux, modules, BPF programs.
//
// From /proc/kallsyms, refreshed when modules or BPF programs come and go; a
// name has no "[module]" suffix. Owns: the table. Borrows: nothing.
// Thread: locks itself.
// Bound: Kallsyms's. Fails: never; Report says why names are missing.
#ifndef SYMBOLIZER_KERNEL_SYMBOLS_H_
#define SYMBOLIZER_KERNEL_SYMBOLS_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>

#include "symbolizer/kallsyms.h"
#include "symbolizer/symbols.h"

namespace pprofd {

class KernelSymbols {
 public:
  ModuleSymbols Symbolize(std::span<const uint64_t> addresses);
  SourceReport Report();
  size_t bytes() const;

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  Kallsyms kallsyms_;
  std::string problem_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_KERNEL_SYMBOLS_H_
