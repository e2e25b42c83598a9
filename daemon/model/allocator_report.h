// AllocatorReport: what one file has to do with allocating memory.
//
// A file may provide an allocator (libc, jemalloc, a static program) and may
// use one through slots that the dynamic linker binds. Which allocator a
// process uses is told by what its slots hold, never by the names of its
// libraries. Thread: value.
#ifndef DAEMON_MODEL_ALLOCATOR_REPORT_H_
#define DAEMON_MODEL_ALLOCATOR_REPORT_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/abi.h"
#include "daemon/model/ids.h"

namespace pprofd {

// One function to be probed, so that each allocation is seen exactly once.
struct AllocatorFunction {
  std::string name;   // as the file calls it; of aliases the first
  uint32_t kind = 0;  // PPROFD_HEAP_*
  FileOffset entry;   // its first instruction
  // The first instruction from there on that the kernel emulates, reached once
  // per call with the arguments still at hand; `entry` if there is none.
  FileOffset probe;
  bool is_emulated = false;  // else every hit is single-stepped
  // Where the arguments that `kind` reads are at `probe`: DWARF numbers, in the
  // order of the arguments.
  std::array<uint8_t, 3> registers{};
};

// A pointer that the dynamic linker sets to the function of that name.
struct AllocatorSlot {
  std::string name;
  ModuleAddr address;
};

// The family of libpprofd_heap.so, which stands in front of an allocator.
inline constexpr std::string_view kPreloadFamily = "libpprofd_heap.so";

struct AllocatorReport {
  // "glibc", "musl", "jemalloc", "tcmalloc", "mimalloc", "unknown",
  // kPreloadFamily; "" = the file provides no allocator.
  std::string family;
  std::vector<AllocatorFunction> functions;  // empty if family is
  std::vector<AllocatorSlot> slots;
  bool is_static = false;    // a program that needs no dynamic linker
  bool has_symbols = false;  // .symtab or .dynsym name functions
};

}  // namespace pprofd

#endif  // DAEMON_MODEL_ALLOCATOR_REPORT_H_
