// FindAllocatorFunctions: what a file has to do with allocating memory.
//
// Functions come from .dynsym and .symtab; which allocator they are of is told
// by names that only that one has. A file provides an allocator if it exports
// malloc and free, or, being a program without a dynamic linker, has them in
// .symtab. An allocator with a prefix (jemalloc in Rust programs) may stand
// beside it, in any of the two tables; both are reported then, and the family
// is that of the prefix. Slots come from the dynamic segment, so that files
// without sections have them, too; functions of such files are not found.
// Thread: pure.
// Bound: 4 M symbols and relocations, kMaxAllocatorFunctions,
// kMaxAllocatorSlots
//   (the rest is not reported).
// Fails: Unsupported (no x86-64 ELF file), Corrupt (headers outside the file).
#ifndef SYMBOLIZER_ALLOCATOR_FUNCTIONS_H_
#define SYMBOLIZER_ALLOCATOR_FUNCTIONS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "daemon/base/status.h"
#include "daemon/model/allocator_report.h"

namespace pprofd {

constexpr size_t kMaxAllocatorFunctions = 64;
constexpr size_t kMaxAllocatorSlots = 4096;

Result<AllocatorReport> FindAllocatorFunctions(std::span<const uint8_t> bytes);

}  // namespace pprofd

#endif  // SYMBOLIZER_ALLOCATOR_FUNCTIONS_H_
