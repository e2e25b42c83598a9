#include "tests/fuzz/fuzz_input.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "symbolizer/symbolizer.h"

namespace pprofd {
namespace {

constexpr size_t kMaxAddresses = 1024;
constexpr uint64_t kBytesOfSegment = 256;
constexpr uint64_t kStep = 3;

void WriteAll(int fd, std::span<const uint8_t> bytes) {
  if (write(fd, bytes.data(), bytes.size()) !=
      static_cast<ssize_t>(bytes.size())) {
    abort();
  }
}

// The folder goes with the process that made it.
class Folder {
 public:
  Folder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "fuzz.XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) abort();
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

TwoParts SplitInput(std::span<const uint8_t> input) {
  uint32_t size = 0;
  if (input.size() < sizeof(size)) return {};
  std::memcpy(&size, input.data(), sizeof(size));
  std::span<const uint8_t> rest = input.subspan(sizeof(size));
  size_t cut = std::min<size_t>(size, rest.size());
  return {.first = rest.first(cut), .second = rest.subspan(cut)};
}

UniqueFd MemoryFile(std::span<const uint8_t> bytes) {
  UniqueFd fd(memfd_create("fuzz", MFD_CLOEXEC));
  if (!fd) abort();
  WriteAll(fd.get(), bytes);
  return fd;
}

const std::string& FuzzFolder() {
  static const Folder folder;
  return folder.path();
}

void WriteFile(const std::string& path, std::span<const uint8_t> bytes) {
  UniqueFd fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) abort();
  WriteAll(fd.get(), bytes);
}

std::vector<ModuleAddr> SomeAddresses(const ElfFile& file) {
  std::vector<ModuleAddr> addresses;
  for (const LoadSegment& segment : file.load_segments()) {
    for (uint64_t into = 0;
         into < kBytesOfSegment && addresses.size() < kMaxAddresses;
         into += kStep) {
      addresses.push_back({segment.address.value + into});
    }
  }
  return addresses;
}

void SymbolizeBytes(std::span<const uint8_t> bytes, const std::string& path) {
  auto elf = ElfFile::Parse(bytes);
  if (!elf.ok()) return;
  std::vector<ModuleAddr> addresses = SomeAddresses(*elf);
  UniqueFd fd = MemoryFile(bytes);
  Symbolizer::Options options;
  options.debug_roots.clear();
  Symbolizer symbolizer(options);
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  ModuleSymbols symbols = symbolizer.SymbolizeModule(
      fd.get(), "fuzz", path, "", addresses, DemangleStyle::kShort, deadline);
  if (symbols.size() != addresses.size()) abort();
  symbolizer.Report("fuzz");
}

}  // namespace pprofd
