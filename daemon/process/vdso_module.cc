// MakeVdsoModule() of module_opener.h.

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "daemon/process/module_opener.h"

namespace pprofd {
namespace {

// Our own vDSO's bytes, as long as its mapping.
Result<std::string> CopyVdsoImage() {
  VirtualAddr start{getauxval(AT_SYSINFO_EHDR)};
  if (start.value == 0) {
    return Status(StatusCode::kNotFound, "this kernel gives no vDSO");
  }
  ASSIGN_OR_RETURN(ProcessDir self, ProcessDir::Open(kProcRoot, getpid()));
  ASSIGN_OR_RETURN(ProcMaps maps, self.ReadMaps());
  const ProcMapping* mapping = maps.Find(start);
  if (mapping == nullptr || mapping->start != start) {
    return Status(StatusCode::kNotFound, "no mapping of the vDSO");
  }
  return std::string(reinterpret_cast<const char*>(start.value),
                     mapping->limit.value - start.value);
}

// A file of those bytes that nobody can change, open for reading only.
Result<UniqueFd> SealedFile(const std::string& bytes) {
  UniqueFd file(memfd_create("pprofd-vdso", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return Status::FromErrno(errno, "memfd_create");
  for (size_t done = 0; done < bytes.size();) {
    ssize_t size = write(file.get(), bytes.data() + done, bytes.size() - done);
    if (size < 0) return Status::FromErrno(errno, "write to a memfd");
    done += size;
  }
  if (fcntl(file.get(), F_ADD_SEALS,
            F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
    return Status::FromErrno(errno, "F_ADD_SEALS");
  }
  std::string self_path = "/proc/self/fd/" + std::to_string(file.get());
  UniqueFd read_only(open(self_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!read_only) return Status::FromErrno(errno, "open of a memfd");
  return read_only;
}

}  // namespace

Module MakeVdsoModule() {
  Module module;
  module.id = ModuleId::kVdso;
  module.path = "[vdso]";
  Result<std::string> image = CopyVdsoImage();
  Result<UniqueFd> file = image.ok() ? SealedFile(*image) : image.status();
  if (!file.ok()) {
    module.unavailable_reason = file.status().message();
    return module;
  }
  module.file = std::move(file).value();
  return module;
}

}  // namespace pprofd
