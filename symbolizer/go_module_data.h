// GoModuleData: what the Go runtime knows of its own file, found again.
//
// The linker writes a description of the module (runtime.firstmoduledata) for
// the runtime. It has no name in stripped files; but it begins with pointers to
// the parts of .gopclntab, which nothing else has in that order, as values or,
// in position-independent files, as relocations.
// Thread: pure.
#ifndef SYMBOLIZER_GO_MODULE_DATA_H_
#define SYMBOLIZER_GO_MODULE_DATA_H_

#include <cstdint>

#include "symbolizer/elf_file.h"

namespace pprofd {

// Of .gopclntab, as its header says.
struct GoTableParts {
  uint64_t address = 0;
  uint64_t names = 0;  // offsets in it
  uint64_t units = 0;
  uint64_t text_field = 0;  // address of the header's pointer to the code
  bool is_go_1_20 = false;  // or later
};

struct GoModuleData {
  uint64_t text_start = 0;  // what offsets of functions are relative to
  uint64_t funcdata = 0;    // and those of their data; 0 unknown
};

// Of Go 1.18 or later. Without the description the code is taken to start
// where the header or .text does.
GoModuleData FindGoModuleData(const ElfFile& file, const GoTableParts& table);

}  // namespace pprofd

#endif  // SYMBOLIZER_GO_MODULE_DATA_H_
