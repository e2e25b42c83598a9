// Files of the test machine that tests of real call frame information read.
#ifndef DAEMON_UNWIND_TEST_FILES_H_
#define DAEMON_UNWIND_TEST_FILES_H_

#include <fcntl.h>

#include <string>
#include <vector>

#include "daemon/base/unique_handle.h"
#include "symbolizer/elf_file.h"

namespace pprofd {

inline const std::vector<std::string>& SystemElfFiles() {
  static const std::vector<std::string> files{
      "/lib64/ld-linux-x86-64.so.2",
      "/usr/lib/x86_64-linux-gnu/libc.so.6",
      "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
      "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
      "/usr/bin/python3.11",
  };
  return files;
}

// Null when the machine lacks the file.
inline MemoryMap MapTestFile(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  Result<MemoryMap> map = MapFile(fd.get());
  return map.ok() ? std::move(map).value() : MemoryMap();
}

}  // namespace pprofd

#endif  // DAEMON_UNWIND_TEST_FILES_H_
