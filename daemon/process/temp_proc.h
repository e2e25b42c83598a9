// TempProc: a directory tree that looks like /proc, for tests.
//
// Owns: the tree; gone with this object.
// Thread: one owner.
#ifndef DAEMON_PROCESS_TEMP_PROC_H_
#define DAEMON_PROCESS_TEMP_PROC_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "daemon/model/ids.h"

namespace pprofd {

// A line of /proc/PID/stat.
inline std::string StatText(const ProcessKey& key, const std::string& comm,
                            uint64_t flags = 0, int parent_pid = 1,
                            const std::string& state = "S") {
  return std::to_string(key.pid) + " (" + comm + ") " + state + " " +
         std::to_string(parent_pid) + " 1 1 0 -1 " + std::to_string(flags) +
         " 10 0 0 0 150 50 0 0 20 0 3 0 " + std::to_string(key.start_ticks) +
         " 1000 100 18446744073709551615 1 1 0 0 0\n";
}

class TempProc {
 public:
  TempProc() {
    std::string pattern = ::testing::TempDir() + "pprofd-proc-XXXXXX";
    root_ = mkdtemp(pattern.data());
  }
  ~TempProc() {
    std::error_code error;
    std::filesystem::remove_all(root_, error);
  }
  TempProc(const TempProc&) = delete;
  TempProc& operator=(const TempProc&) = delete;

  const std::string& root() const { return root_; }
  std::string Path(const std::string& name) const { return root_ + "/" + name; }

  std::string Write(const std::string& name, std::string_view text) const {
    MakeParent(name);
    std::ofstream(Path(name), std::ios::binary) << text;
    return Path(name);
  }
  void Link(const std::string& name, const std::string& target) const {
    MakeParent(name);
    std::filesystem::create_symlink(target, Path(name));
  }
  // A living user process without mappings.
  void AddProcess(const ProcessKey& key, const std::string& comm,
                  const std::string& exe, std::string_view maps = "") const {
    std::string dir = std::to_string(key.pid) + "/";
    Write(dir + "stat", StatText(key, comm));
    Write(dir + "comm", comm + "\n");
    Write(dir + "cmdline", exe + std::string("\0-x\0", 4));
    Write(dir + "maps", maps);
    std::filesystem::remove(Path(dir + "exe"));
    Link(dir + "exe", exe);
  }
  void RemoveProcess(int pid) const {
    std::filesystem::remove_all(Path(std::to_string(pid)));
  }

 private:
  void MakeParent(const std::string& name) const {
    std::filesystem::create_directories(
        std::filesystem::path(Path(name)).parent_path());
  }

  std::string root_;
};

}  // namespace pprofd

#endif  // DAEMON_PROCESS_TEMP_PROC_H_
