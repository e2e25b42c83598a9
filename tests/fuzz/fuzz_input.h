// FuzzInput: what fuzz targets of files have in common: several parts in one
// input, files that live in memory, and a folder for those that need a path.
//
// Thread: one; the folder is the process's.
#ifndef TESTS_FUZZ_FUZZ_INPUT_H_
#define TESTS_FUZZ_FUZZ_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"
#include "symbolizer/elf_file.h"

namespace pprofd {

struct TwoParts {
  std::span<const uint8_t> first;
  std::span<const uint8_t> second;
};
// Four bytes, the size of the first part; the first part; the second.
TwoParts SplitInput(std::span<const uint8_t> input);

// A regular file without a path; ends the run when there can be none.
UniqueFd MemoryFile(std::span<const uint8_t> bytes);

// A new folder of this process, removed when it ends.
const std::string& FuzzFolder();
void WriteFile(const std::string& path, std::span<const uint8_t> bytes);

// Some hundred addresses at the starts of the file's segments.
std::vector<ModuleAddr> SomeAddresses(const ElfFile& file);

// Names some addresses of a file as a query does, and looks what there is;
// ends the run when an address gets no answer. `path` is where the file would
// be.
void SymbolizeBytes(std::span<const uint8_t> bytes, const std::string& path);

}  // namespace pprofd

#endif  // TESTS_FUZZ_FUZZ_INPUT_H_
