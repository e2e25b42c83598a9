// DebugFiles: finds the file with the debug information of a module.
//
// Looks where debuggers look: .build-id/xx/yyyy.debug and the .gnu_debuglink
// name under each debug folder, beside the module and in its .debug folder; in
// the target's own root first, then on the host. A file counts only if its
// build ID is the module's or, without one, if its CRC is the one of the link.
// Paths inside a target's root are resolved inside of it; only regular files
// are opened. Thread: pure, blocks on I/O. Bound: kMaxCrcBytes are read for a
// CRC.
#ifndef SYMBOLIZER_DEBUG_FILES_H_
#define SYMBOLIZER_DEBUG_FILES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "symbolizer/elf_file.h"

namespace pprofd {

inline constexpr uint64_t kMaxCrcBytes = uint64_t{1} << 30;

// .gnu_debuglink: the name of a file, and the CRC of its content.
struct DebugLink {
  std::string name;
  uint32_t crc = 0;
};
std::optional<DebugLink> ReadDebugLink(const ElfFile& file);

struct DebugFileSearch {
  std::string module_path;               // as the target sees it
  std::string root;                      // of the target; "" = host only
  std::vector<std::string> debug_roots;  // such as /usr/lib/debug
};

struct DebugFile {
  UniqueFd fd;
  std::string path;
};

// Null fd when there is none; each file that was there and unfit, and the
// outcome, is told in `attempts`.
DebugFile FindDebugFile(const ElfFile& module, const DebugFileSearch& search,
                        std::vector<std::string>& attempts);

// Opens a regular file for reading; links cannot lead out of `root`.
Result<UniqueFd> OpenInRoot(const std::string& root, const std::string& path);

}  // namespace pprofd

#endif  // SYMBOLIZER_DEBUG_FILES_H_
