// FileBroker: which files the symbolizer may have beside the one it was given.
//
// Files under the target's own root and the host's, as debug information is
// searched there, and those that come by build ID from elsewhere: regular ELF
// files only, so that a symbolizer that a hostile file has taken over gets no
// secrets; links cannot lead out of the root.
// Borrows: the opener. Thread: any, if the opener is. Does I/O.
// Fails: NotFound, Denied (no ELF file, another root), Invalid.
#ifndef DAEMON_SYMBOLIZER_CLIENT_FILE_BROKER_H_
#define DAEMON_SYMBOLIZER_CLIENT_FILE_BROKER_H_

#include <functional>
#include <string>

#include "symbolizer/file_opener.h"

namespace pprofd {

class FileBroker {
 public:
  static constexpr size_t kMaxPathBytes = 4096;

  // Must not wait for the file.
  using FindByBuildId = std::function<Result<FoundFile>(const BuildId&)>;

  // `root` is that of the module in question; "" = the host's only.
  FileBroker(FileOpener& opener, std::string root, FindByBuildId find = {})
      : opener_(&opener), root_(std::move(root)), find_(std::move(find)) {}

  Result<FoundFile> Open(const std::string& root,
                         const std::string& path) const;
  // NotFound without a message when no file is had this way.
  Result<FoundFile> Find(const BuildId& build_id) const;

 private:
  FileOpener* opener_;
  std::string root_;
  FindByBuildId find_;
};

}  // namespace pprofd

#endif  // DAEMON_SYMBOLIZER_CLIENT_FILE_BROKER_H_
