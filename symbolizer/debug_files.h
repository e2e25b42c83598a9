// DebugFiles: finds the file with the debug information of a module.
//
// Looks where debuggers look: .build-id/xx/yyyy.debug and the .gnu_debuglink
// name under each debug folder, beside the module and in its .debug folder; in
// the target's own root first, then on the host. A file counts only if its
// build ID is the module's or, without one, if its CRC is the one of the link.
// What is in no folder may come by its build ID alone (FindByBuildId).
// Thread: pure, blocks on I/O. Bound: kMaxCrcBytes are read for a CRC.
#ifndef SYMBOLIZER_DEBUG_FILES_H_
#define SYMBOLIZER_DEBUG_FILES_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/file_opener.h"

namespace pprofd {

inline constexpr uint64_t kMaxCrcBytes = 256 << 20;

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
  FileOpener* opener = &OwnFileOpener();
};

struct DebugFile {
  UniqueFd fd;
  std::string root;  // that `path` is in
  std::string path;
  std::string real_path = "";  // links resolved; "" unknown

  std::string Shown() const { return (root == "/" ? "" : root) + path; }
};

// Null fd when there is none; each file that was there and unfit, and the
// outcome, is told in `attempts`.
DebugFile FindDebugFile(const ElfFile& module, const DebugFileSearch& search,
                        std::vector<std::string>& attempts);

// .build-id/xx/yyyy.debug under each debug folder; none for a short ID.
std::vector<std::string> BuildIdPaths(const BuildId& build_id,
                                      const DebugFileSearch& search);

// Opens the first of `paths` that `why_unfit` has nothing to say against, all
// of them in the target's root, then all on the host. Null fd when there is
// none; the unfit are told in `attempts`.
using WhyUnfit = std::function<std::string(int fd)>;
DebugFile OpenFirstFit(const std::vector<std::string>& paths,
                       const DebugFileSearch& search, const WhyUnfit& why_unfit,
                       std::vector<std::string>& attempts);

// The same for what the opener has by build ID.
DebugFile OpenByBuildId(const BuildId& build_id, const DebugFileSearch& search,
                        const WhyUnfit& why_unfit,
                        std::vector<std::string>& attempts);

// Without the last part; "" if there is no other.
std::string FolderOf(const std::string& path);

}  // namespace pprofd

#endif  // SYMBOLIZER_DEBUG_FILES_H_
