// SymbolizerClient: what foreign files say, read by another process.
//
// pprofd itself parses no file of a target: headers, unwind tables, stacks that
// need a file's full call frame information, and names all come from a
// pprofd-symbolizer, which has no rights.
// Names it found in DWARF outlive it where there is a SymbolStore. What a
// symbolizer saves is as trustworthy as what it answers, and stays.
// Owns: the process. Borrows: the FileOpener, the SymbolStore.
// Thread: any; requests take turns, the newest first.
// Bound: kReadTime for headers, allocators and examinations, kTableTime for a
//   table, kUnwindTime for a stack; kMaxArrivals modules, of the others files
//   are seen when they are named anew; what names need is up to the caller's
//   deadline.
// Fails: as SymbolizerProcess says, or as the file is: Corrupt, Unsupported.
#ifndef DAEMON_SYMBOLIZER_CLIENT_SYMBOLIZER_CLIENT_H_
#define DAEMON_SYMBOLIZER_CLIENT_SYMBOLIZER_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/model/allocator_report.h"
#include "daemon/model/module.h"
#include "daemon/model/profile_service.h"  // DemangleStyle
#include "daemon/model/sample.h"
#include "daemon/symbolizer_client/symbolizer_process.h"
#include "daemon/unwind/stack_unwinder.h"
#include "daemon/unwind/unwind_table.h"
#include "symbolizer/file_opener.h"
#include "symbolizer/service/wire.h"
#include "symbolizer/symbol_store.h"
#include "symbolizer/symbols.h"

namespace pprofd {

// A file to name addresses of. All is borrowed for the call.
struct NamedFile {
  int file = -1;
  std::string key;   // identifies its content
  std::string path;  // as the target sees it
  std::string root;  // prefix of the target's files; "" = the host's
};

class SymbolizerClient {
 public:
  using Deadline = SymbolizerProcess::Deadline;
  static constexpr std::chrono::seconds kReadTime{5};
  static constexpr std::chrono::seconds kTableTime{10};
  static constexpr std::chrono::seconds kUnwindTime{5};
  static constexpr size_t kMaxArrivals = 4096;

  // A debug file that is in no folder, by build ID, without waiting for it;
  // `asker` is the key of the module that wants it, "" when it is only looked
  // at. NoteArrival(asker) when it has come.
  using FindDebugFile = std::function<Result<FoundFile>(
      const BuildId& build_id, const std::string& asker)>;

  struct Options {
    SymbolizerProcess::Options process;
    FileOpener* opener = &OwnFileOpener();
    SymbolStore* store = nullptr;  // nullptr: nothing outlives the process
    FindDebugFile find_debug_file = nullptr;
  };
  static Result<std::unique_ptr<SymbolizerClient>> Start(Options options);

  // Fills build ID and segments from module->file, or says why not in
  // unavailable_reason. Returns what identifies the unwind table of the file.
  BuildId DescribeModule(Module* module);
  Result<ElfDescription> Describe(int file);
  Result<UnwindTable> BuildTable(int file);
  // What the file has to do with allocating memory.
  Result<AllocatorReport> FindAllocator(int file);
  // See StackUnwinder. The functions are called during the call only, and must
  // not use this client: it is at work.
  Result<UnwoundStack> Unwind(const RawStack& raw,
                              const std::vector<Mapping>& known,
                              const StackUnwinder::FindMapping& find_mapping,
                              const StackUnwinder::FindModule& find_module);

  // Never fail as a whole: see ModuleSymbols::problem.
  ModuleSymbols SymbolizeModule(const NamedFile& file,
                                std::span<const ModuleAddr> addresses,
                                DemangleStyle style, Deadline deadline);
  ModuleSymbols SymbolizePerfMap(int map_file, const std::string& key,
                                 std::span<const uint64_t> addresses,
                                 DemangleStyle style, Deadline deadline);
  ModuleSymbols SymbolizeJitDump(int dump_file, const std::string& key,
                                 std::span<const uint64_t> addresses,
                                 DemangleStyle style, Deadline deadline);

  // A debug file has come for the module with this key: what it was named by is
  // looked for anew at the next question. Does not wait.
  void NoteArrival(const std::string& key);

  // Of what was symbolized: what its names come from. Nothing when it is not
  // known, or not known in time.
  SourceReport Report(const std::string& key);
  // What there is to find in a file; keeps nothing of it.
  Result<Examination> Examine(const NamedFile& file);

  // Has what is new put into the store, in part or all of it.
  void SaveNames(bool all);
  bool has_unsaved() const { return process_.has_unsaved(); }

  size_t cache_bytes() const { return process_.cache_bytes(); }
  uint32_t landlock_abi() const { return process_.landlock_abi(); }
  pid_t pid() const { return process_.pid(); }

 private:
  explicit SymbolizerClient(Options options)
      : process_(std::move(options.process)),
        opener_(*options.opener),
        store_(options.store),
        find_debug_file_(std::move(options.find_debug_file)) {}

  SymbolizerProcess::Answerer AnswererOf(const NamedFile& file,
                                         const std::string& asker);
  uint64_t LastArrivalFor(const std::string& key) const;
  ModuleSymbols NameJitCode(int file, bool is_jit_dump, const std::string& key,
                            std::span<const uint64_t> addresses,
                            DemangleStyle style, Deadline deadline);
  ModuleSymbols NamesOf(SymbolizerProcess::Call call, Deadline deadline,
                        size_t wanted);

  SymbolizerProcess process_;
  FileOpener& opener_;
  SymbolStore* const store_;
  const FindDebugFile find_debug_file_;

  mutable std::mutex mutex_;
  // Guarded by mutex_: the last for each key, and of all.
  absl::flat_hash_map<std::string, uint64_t> arrivals_;
  uint64_t last_arrival_ = 0;
};

}  // namespace pprofd

#endif  // DAEMON_SYMBOLIZER_CLIENT_SYMBOLIZER_CLIENT_H_
