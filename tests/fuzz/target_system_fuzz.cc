// Fuzz target: os-release and dpkg's lists of files, which a target's root has.
//
// The first part is one or the other; the second part names the list. Package
// names that come out can be pasted into a shell.

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "daemon/process/dpkg_owners.h"
#include "daemon/process/target_system.h"
#include "tests/fuzz/fuzz_input.h"

namespace pprofd {
namespace {

void CheckPackage(const std::string& name) {
  bool is_plain =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789+-.") ==
      std::string::npos;
  if (name.empty() || name.front() == '-' || !is_plain) abort();
}

void ReadLists(std::span<const uint8_t> list, std::string name) {
  const std::string folder = FuzzFolder() + "/var/lib/dpkg/info";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  bool is_name = !name.empty() && name.size() < 200 &&
                 name.find('/') == std::string::npos &&
                 name.find('\0') == std::string::npos && name != "." &&
                 name != "..";
  if (!is_name) name = "libc6:amd64";
  WriteFile(folder + "/" + name + ".list", list);
  UniqueFd root(open(FuzzFolder().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  DpkgOwners owners = FindDpkgOwners(
      root.get(), {"/usr/lib/x86_64-linux-gnu/libc.so.6", "/bin/x"});
  for (const auto& [path, package] : owners.packages) CheckPackage(package);
  for (const std::string& package : owners.debug_packages) {
    CheckPackage(package);
  }
}

}  // namespace
}  // namespace pprofd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  constexpr size_t kMaxNameBytes = 256;
  TwoParts parts = SplitInput({data, size});
  TargetSystem system = ParseOsRelease(
      {reinterpret_cast<const char*>(parts.first.data()), parts.first.size()});
  if (system.name.size() > kMaxNameBytes) abort();
  ReadLists(parts.first, std::string(parts.second.begin(), parts.second.end()));
  return 0;
}
