// PltName: names of stubs that jump to functions of other modules, as `f@plt`.
//
// An x86-64 stub jumps through a slot, and a relocation of that slot names the
// function. Nothing is kept: stubs are rarely hit.
// Thread: pure.
#ifndef SYMBOLIZER_PLT_NAMES_H_
#define SYMBOLIZER_PLT_NAMES_H_

#include <optional>
#include <string>

#include "daemon/model/ids.h"
#include "symbolizer/elf_file.h"

namespace pprofd {

// Nothing when `address` is in no stub, or in one that is not understood.
std::optional<std::string> PltName(const ElfFile& file, ModuleAddr address);

}  // namespace pprofd

#endif  // SYMBOLIZER_PLT_NAMES_H_
