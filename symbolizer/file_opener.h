// FileOpener: how the symbolizer comes by files beside the one it was given.
//
// The symbolizer runs where nothing can be opened; whoever gives it a module
// gives it this, too. Thread: as the implementation says.
#ifndef SYMBOLIZER_FILE_OPENER_H_
#define SYMBOLIZER_FILE_OPENER_H_

#include <string>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/ids.h"

namespace pprofd {

struct FoundFile {
  UniqueFd fd;            // of a regular file, for reading
  std::string real_path;  // in its root, links resolved; "" unknown
};

class FileOpener {
 public:
  virtual ~FileOpener() = default;
  // `path` inside `root`, which links cannot lead out of.
  virtual Result<FoundFile> Open(const std::string& root,
                                 const std::string& path) = 0;
  // A debug file that is in no folder, by its build ID; its content is still to
  // be checked. NotFound, without waiting for it to come: the message says what
  // is known of it, and nothing when files are not had this way.
  virtual Result<FoundFile> FindByBuildId(const BuildId& build_id);
};

// Opens with the rights of this process. Thread: any. Does I/O.
FileOpener& OwnFileOpener();

}  // namespace pprofd

#endif  // SYMBOLIZER_FILE_OPENER_H_
