// ModuleTable: ModuleId -> Module, for as long as history needs it.
//
// A Module is immutable and shared, so the table never changes one: to close a
// file it puts a copy without the file in its place, and the descriptor goes
// with the last query that still holds the old one.
// Owns: the references; through them the descriptors.
// Thread: locks itself: mutex_.
// Bound: max_modules, least recently found first (counter modules_evicted);
//   max_open_files descriptors, but at most half of RLIMIT_NOFILE, least
//   recently found first (counter module_files_closed). The vDSO stays.
#ifndef DAEMON_PROCESS_MODULE_TABLE_H_
#define DAEMON_PROCESS_MODULE_TABLE_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "daemon/base/clock.h"
#include "daemon/model/module.h"
#include "daemon/process/proc_maps.h"

namespace pprofd {

class ModuleTable {
 public:
  struct Options {
    size_t max_modules = PPROFD_MAX_MODULES;
    size_t max_open_files = 4096;
    // How long a module that nothing refers to is kept: samples that name it
    // may still be on their way.
    int64_t grace_ns = 60'000'000'000;
  };
  explicit ModuleTable(const Options& options);
  ModuleTable(const ModuleTable&) = delete;
  ModuleTable& operator=(const ModuleTable&) = delete;

  // Takes the place of an older module of the same number.
  ModuleRef Add(Module module);

  // Null for kNone only. A number whose event was lost has a module without
  // path and file that says so.
  ModuleRef Find(ModuleId id);
  // Whether its event has come.
  bool Contains(ModuleId id) const;

  // The module of a line of /proc/PID/maps, by path and inode; kNone when no
  // sample has met that file.
  ModuleId FindByMapping(const ProcMapping& mapping);

  // Drops the modules that have been missing from `in_use` for the grace
  // period. `in_use` names the modules of history, of processes, and those the
  // kernel half knows. Returns all modules dropped since the last call, those
  // evicted by Add() too, so that the kernel half can be made to forget them:
  // else it would never announce them again.
  std::vector<ModuleRef> Retain(const absl::flat_hash_set<ModuleId>& in_use,
                                BootTime now);

  size_t size() const;
  size_t open_files() const;

 private:
  struct Entry {
    ModuleRef module;
    uint64_t last_use = 0;  // of use_clock_
    bool is_unused = false;
    BootTime unused_since;
  };
  using Entries = absl::flat_hash_map<ModuleId, Entry>;

  // REQUIRES: mutex_ is held.
  void Drop(Entries::iterator it);
  void EvictOne();
  void CloseOneFile();
  void Index(const Module& module);
  void Unindex(const Module& module);

  const size_t max_modules_;
  const size_t max_open_files_;
  const int64_t grace_ns_;

  mutable std::mutex mutex_;
  Entries entries_;
  // The youngest module of an inode number.
  absl::flat_hash_map<uint64_t, ModuleId> by_inode_;
  std::vector<ModuleRef> dropped_;  // at most max_modules_
  uint64_t use_clock_ = 0;
  size_t open_files_ = 0;
};

}  // namespace pprofd

#endif  // DAEMON_PROCESS_MODULE_TABLE_H_
