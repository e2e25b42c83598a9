// TableLoader: keeps the unwind tables of executed files in the BPF maps.
//
// Tables are big and the maps are not: a table is loaded when its file is first
// executed and evicted, least recently used first, when the budget runs out. A
// sample that meets an absent table carries its stack along, or is cut, and
// asks for it. Files with equal build IDs share one table. Removed pieces stay
// as they are until kGrace has passed, since a sample may be reading them.
// Owns: the content of the chunk space, of the rules and of the modules map.
// Borrows: MapWriter.
// Thread: process thread only.
// Bound: max_bytes; PPROFD_MAX_RULES rules, later ones become UNSUPPORTED;
//   PPROFD_MAX_MODULES files; counters unwind_table_bytes,
//   unwind_tables_evicted, unwind_tables_refused.
// Fails: Exhausted when there is no room. The file is then marked as refused;
//   when it was crowded out, not too large by itself, it is forgotten as soon
//   as there is room, so that its next sample asks again. Callers need do
//   nothing.
#ifndef DAEMON_UNWIND_TABLE_LOADER_H_
#define DAEMON_UNWIND_TABLE_LOADER_H_

#include <absl/container/flat_hash_set.h>

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/base/clock.h"
#include "daemon/base/status.h"
#include "daemon/model/ids.h"
#include "daemon/model/map_writer.h"
#include "daemon/unwind/chunk_space.h"
#include "daemon/unwind/unwind_table.h"

namespace pprofd {

class TableLoader {
 public:
  static constexpr std::chrono::nanoseconds kGrace = std::chrono::seconds(1);
  // A table not used for so many epochs may be evicted.
  static constexpr uint32_t kIdleEpochs = 2;
  static constexpr size_t kMaxReasonBytes = 256;

  struct Options {
    size_t max_bytes = 64u << 20;
  };

  // What the kernel half has of one file.
  struct FileState {
    enum class Kind {
      kAbsent,  // its next sample asks for a table
      kReady,
      kRefused,
    };
    Kind kind = Kind::kAbsent;
    std::string refusal;  // why
    size_t row_count = 0;
    UnwindTableStats stats;
    std::vector<ModuleId> sharers;  // other files with this table
  };

  TableLoader(MapWriter* writer, Options options);
  TableLoader(const TableLoader&) = delete;
  TableLoader& operator=(const TableLoader&) = delete;

  // Publishes a table for a file; an earlier one of the same key is replaced.
  Status Load(const pprofd_file_key& key, ModuleId number,
              const BuildId& build_id, const UnwindTable& table);
  // Publishes the resident table of an equal build ID. False when there is
  // none, when the ID is empty, or when the kernel refuses.
  bool Share(const pprofd_file_key& key, ModuleId number,
             const BuildId& build_id);
  // No table will come: samples stop asking. Nothing new for a file that Load
  // refused. `reason` is for people.
  Status Refuse(const pprofd_file_key& key, ModuleId number,
                const std::string& reason);
  // Its next sample asks again. Nothing if the file goes by another number now.
  Status Forget(const pprofd_file_key& key, ModuleId number);
  Status LoadVdso(const UnwindTable& table);

  // Starts the next epoch of use; called every few seconds.
  void AdvanceEpoch();
  // Frees what was removed at least kGrace before; called every second or so.
  // Times must not go back.
  void Collect(BootTime now);

  // Adds the numbers of all files that the kernel half knows from here.
  void CollectModules(absl::flat_hash_set<ModuleId>* modules) const;

  FileState Describe(const pprofd_file_key& key) const;
  FileState DescribeVdso() const;

  size_t table_count() const { return tables_.size(); }
  size_t used_bytes() const { return space_.used_bytes(); }

 private:
  struct Table {
    BuildId build_id;
    pprofd_module header{};  // number and epoch differ per file
    std::vector<Extent> extents;
    std::vector<pprofd_file_key> keys;
    size_t row_count = 0;
    UnwindTableStats stats;
  };
  using TableList = std::list<Table>;

  // What is known of one file.
  struct File {
    ModuleId number = ModuleId::kNone;
    std::optional<TableList::iterator> table;  // none: refused
    bool is_starved = false;                   // refused for lack of room
    std::string refusal;                       // why, at most kMaxReasonBytes
  };
  struct KeyHash {
    size_t operator()(const pprofd_file_key& key) const;
  };
  struct KeyEqual {
    bool operator()(const pprofd_file_key& a, const pprofd_file_key& b) const;
  };
  struct BuildIdHash {
    size_t operator()(const BuildId& id) const;
  };
  // Removed extents; `since` is set by the first Collect that sees them.
  struct Grave {
    std::vector<Extent> extents;
    std::optional<BootTime> since;
  };

  Result<Table> Write(const UnwindTable& table);
  Status WritePieces(const UnwindTable& source,
                     const std::vector<uint16_t>& numbers, Table* table);
  Result<Extent> Store(std::span<const uint8_t> bytes, Table* table);
  uint16_t GlobalRule(const UnwindRule& rule);

  Status Publish(const pprofd_file_key& key, ModuleId number,
                 TableList::iterator table);
  Status PutRefused(const pprofd_file_key& key, ModuleId number,
                    bool is_starved, const std::string& reason);
  bool FitsBesideOthers(const UnwindTable& table) const;
  void Detach(const pprofd_file_key& key);
  void Bury(TableList::iterator table);
  void BuryExtents(std::vector<Extent> extents);
  void Evict(TableList::iterator table);
  void EvictIdleUntil(size_t target_bytes);
  void ForgetIdleFiles();
  void ForgetStarvedFiles();
  uint32_t LastUsed(const Table& table);
  void UpdateGauges();

  MapWriter* const writer_;
  ChunkSpace space_;

  TableList tables_;
  std::unordered_map<BuildId, TableList::iterator, BuildIdHash> by_build_id_;
  std::unordered_map<pprofd_file_key, File, KeyHash, KeyEqual> files_;
  std::unordered_map<uint64_t, uint16_t> rule_numbers_;
  std::vector<Extent> vdso_extents_;
  FileState vdso_;
  std::vector<Grave> graves_;
  size_t grave_bytes_ = 0;
  size_t row_count_ = 0;
  size_t starved_count_ = 0;
  uint32_t epoch_ = 1;
};

}  // namespace pprofd

#endif  // DAEMON_UNWIND_TABLE_LOADER_H_
