// A folder of a test's own, and whole files. Thread: any.
#ifndef DAEMON_DEBUGINFOD_TEMP_FOLDER_FOR_TEST_H_
#define DAEMON_DEBUGINFOD_TEMP_FOLDER_FOR_TEST_H_

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace pprofd {

class TempFolder {
 public:
  TempFolder() {
    std::string path =
        (std::filesystem::temp_directory_path() / "pprofd-test-XXXXXX");
    path_ = mkdtemp(path.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string operator/(const std::string& name) const {
    return path_ + "/" + name;
  }

 private:
  std::string path_;
};

inline std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void WriteWhole(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace pprofd

#endif  // DAEMON_DEBUGINFOD_TEMP_FOLDER_FOR_TEST_H_
