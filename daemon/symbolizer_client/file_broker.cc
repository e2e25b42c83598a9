#include "daemon/symbolizer_client/file_broker.h"

#include <elf.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace pprofd {
namespace {

bool IsElf(int fd) {
  std::array<char, SELFMAG> start{};
  return pread(fd, start.data(), start.size(), 0) == SELFMAG &&
         std::memcmp(start.data(), ELFMAG, SELFMAG) == 0;
}

}  // namespace

Result<FoundFile> FileBroker::Open(const std::string& root,
                                   const std::string& path) const {
  if (root != "/" && (root_.empty() || root != root_)) {
    return Status(StatusCode::kDenied, "not this module's root");
  }
  bool is_path = path.starts_with('/') && path.size() <= kMaxPathBytes &&
                 path.find('\0') == std::string::npos;
  if (!is_path) return Status(StatusCode::kInvalid, "no absolute path");
  ASSIGN_OR_RETURN(FoundFile found, opener_->Open(root, path));
  if (!IsElf(found.fd.get())) {
    return Status(StatusCode::kDenied, path + ": no ELF file");
  }
  return found;
}

Result<FoundFile> FileBroker::Find(const BuildId& build_id) const {
  if (!find_) return Status(StatusCode::kNotFound, "");
  ASSIGN_OR_RETURN(FoundFile found, find_(build_id));
  if (!IsElf(found.fd.get())) {
    return Status(StatusCode::kDenied, found.real_path + ": no ELF file");
  }
  return found;
}

}  // namespace pprofd
