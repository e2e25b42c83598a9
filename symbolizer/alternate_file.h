// AlternateFile: finds the file that dwz moved common parts of DWARF to.
//
// Two notations name it: .gnu_debugaltlink (path, build ID) and .debug_sup of
// DWARF 5 (path, checksum). A file counts only if that identity is its own.
// Searched: the build-ID folders, the path itself (a relative one from the
// folder of the file that has the link, as named and as links resolve), and
// what follows ".dwz/" in it under each debug folder; in the target's root
// first, then on the host; then what the opener has by build ID. Thread: pure,
// blocks on I/O.
#ifndef SYMBOLIZER_ALTERNATE_FILE_H_
#define SYMBOLIZER_ALTERNATE_FILE_H_

#include <optional>
#include <string>
#include <vector>

#include "symbolizer/debug_files.h"
#include "symbolizer/elf_file.h"

namespace pprofd {

struct AlternateLink {
  std::string path;
  BuildId identity;               // or checksum
  bool is_supplementary = false;  // by .debug_sup
};

// Nothing when the file has no such link, or one that makes no sense.
std::optional<AlternateLink> ReadAlternateLink(const ElfFile& file);

// `holder` is the file with the link. Null fd when there is none; what was
// unfit, and the outcome, is told in `attempts`.
DebugFile FindAlternateFile(const AlternateLink& link, const DebugFile& holder,
                            const DebugFileSearch& search,
                            std::vector<std::string>& attempts);

}  // namespace pprofd

#endif  // SYMBOLIZER_ALTERNATE_FILE_H_
