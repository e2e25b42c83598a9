#include "daemon/base/own_files.h"

#include <filesystem>
#include <system_error>

namespace pprofd {

std::string BesideProgram(std::string_view name) {
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / name).string();
}

}  // namespace pprofd
