// What tests of shared_code.cc share: the calls at each address of a program.
#ifndef SYMBOLIZER_TESTDATA_SHARED_CODE_CHAINS_H_
#define SYMBOLIZER_TESTDATA_SHARED_CODE_CHAINS_H_

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/base/unique_handle.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/symbolizer.h"

namespace pprofd {

inline std::filesystem::path SharedCodePath(const std::string& name) {
  return std::filesystem::path(PPROFD_SHARED_CODE) / name;
}

// A folder that is gone when the test ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = testing::TempDir() + "pprofd-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Copies to a path whose folders are made.
inline void CopyTo(const std::filesystem::path& from,
                   const std::filesystem::path& to) {
  std::filesystem::create_directories(to.parent_path());
  std::filesystem::copy_file(from, to,
                             std::filesystem::copy_options::overwrite_existing);
}

struct Program {
  std::filesystem::path file;
  std::string path = "";  // as the target sees it; "" = `file`
  std::string root = "";  // of the target
};

struct AllCalls {
  std::vector<std::string> lines;  // one per address and call
  std::vector<std::string> attempts;

  std::string Attempts() const {
    std::string text;
    for (const std::string& attempt : attempts) text += attempt + "\n";
    return text;
  }
};

// Names, files, lines and columns at each address of .text.
inline AllCalls CallsOf(const Program& program,
                        Symbolizer::Options options = {}) {
  AllCalls result;
  UniqueFd fd(open(program.file.c_str(), O_RDONLY | O_CLOEXEC));
  auto map = MapFile(fd.get());
  if (!map.ok()) {
    ADD_FAILURE() << program.file << ": " << map.status().ToString();
    return result;
  }
  auto elf = ElfFile::Parse(Bytes(*map));
  const ElfSection* text = elf->FindSection(".text");
  std::vector<ModuleAddr> addresses;
  for (uint64_t i = 0; i < text->size; ++i) {
    addresses.push_back({text->address.value + i});
  }
  Symbolizer symbolizer(options);
  ModuleSymbols symbols = symbolizer.SymbolizeModule(
      fd.get(), "key",
      program.path.empty() ? program.file.string() : program.path, program.root,
      addresses, DemangleStyle::kShort,
      std::chrono::steady_clock::now() + std::chrono::hours(1));
  for (size_t i = 0; i < addresses.size(); ++i) {
    for (const SymbolLine& line : symbols.Chain(i)) {
      std::ostringstream shown;
      shown << std::hex << addresses[i].value << std::dec << " " << line.name
            << " (" << line.system_name << ", from line " << line.start_line
            << ") " << line.file << ":" << line.line << ":" << line.column;
      result.lines.push_back(shown.str());
    }
  }
  result.attempts = symbolizer.Report("key").attempts;
  symbolizer.SaveAll();
  return result;
}

// "" when both are the same.
inline std::string FirstDifference(const std::vector<std::string>& found,
                                   const std::vector<std::string>& expected) {
  auto [a, b] = std::mismatch(found.begin(), found.end(), expected.begin(),
                              expected.end());
  if (a == found.end() && b == expected.end()) return "";
  return "found " + (a == found.end() ? "the end" : *a) + "\ninstead of " +
         (b == expected.end() ? "the end" : *b);
}

}  // namespace pprofd

#endif  // SYMBOLIZER_TESTDATA_SHARED_CODE_CHAINS_H_
