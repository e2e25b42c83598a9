// SymbolizerServer: answers the daemon's requests, one after the other.
//
// Runs inside the sandbox: all it has is the channel and the descriptors that
// come through it. What it must know beside, it asks the daemon.
// Owns: the channel, names and call frame indexes of what it was asked about.
// Thread: one.
// Bound: kMaxArrivals; a request's time and kGrace more, then SIGALRM ends the
//   process, even when nobody waits any more.
// Fails: Run() returns when the daemon is gone or makes no sense.
#ifndef SYMBOLIZER_SERVICE_SYMBOLIZER_SERVER_H_
#define SYMBOLIZER_SERVICE_SYMBOLIZER_SERVER_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/unwind/stack_unwinder.h"
#include "proto/symbolizer.pb.h"
#include "symbolizer/file_opener.h"
#include "symbolizer/service/channel.h"
#include "symbolizer/service/sandbox.h"
#include "symbolizer/service/wire.h"
#include "symbolizer/symbol_store.h"
#include "symbolizer/symbolizer.h"

namespace pprofd {

class SymbolizerServer : private FileOpener, private SymbolStore {
 public:
  static constexpr std::chrono::seconds kGrace{20};
  static constexpr size_t kMaxArrivals = 4096;  // then modules are read anew

  // `build` tells one build of pprofd from another.
  SymbolizerServer(UniqueFd socket, std::string build, Confinement confinement);

  // Ok: the daemon has closed the channel.
  Status Run();

 private:
  // Asks the daemon, by a root and a path it may refuse.
  Result<FoundFile> Open(const std::string& root,
                         const std::string& path) override;
  Result<FoundFile> FindByBuildId(const BuildId& build_id) override;
  Result<UniqueFd> Load(const std::string& key, Purpose purpose) override;
  Status Save(const std::string& key, std::span<const uint8_t> bytes) override;
  void Discard(const std::string& key) override;

  struct Answered {
    wire::Answer answer;
    std::vector<UniqueFd> files;
  };
  Result<Answered> Ask(const wire::Question& question);
  Result<FoundFile> AskFile(const wire::Question& question);
  // Forgets a module for which a file has come since.
  void MindArrival(const std::string& key, uint64_t arrival);
  void Do(const wire::Request& request, wire::Reply* reply);
  void Do(const wire::Start& start, wire::Reply* reply);
  void Describe(wire::Reply* reply);
  void BuildTable(wire::Reply* reply);
  void Do(const wire::Unwind& unwind, wire::Reply* reply);
  void Do(const wire::NameAddresses& names, wire::Reply* reply);
  void Do(const wire::NameJitCode& names, wire::Reply* reply);
  void Do(const wire::Report& report, wire::Reply* reply);
  void Do(const wire::Examine& examine, wire::Reply* reply);
  void Do(const wire::SaveNames& save, wire::Reply* reply);
  void FindAllocator(wire::Reply* reply);
  void GiveMemoryBack();
  std::optional<Mapping> AskMapping(VirtualAddr address);
  ModuleRef AskModule(ModuleId module);
  // The file of the request; -1 if none came.
  int file() const { return files_.empty() ? -1 : files_.front().get(); }

  Channel channel_;
  const std::string build_;
  const Confinement confinement_;
  std::unique_ptr<Symbolizer> symbolizer_;
  absl::flat_hash_map<std::string, uint64_t> arrivals_;  // last minded, by key
  StackUnwinder unwinder_;
  std::chrono::steady_clock::time_point next_give_back_{};

  // Of the request at hand:
  uint64_t id_ = 0;
  std::chrono::steady_clock::time_point deadline_{};
  std::vector<UniqueFd> files_;
  Status channel_status_;  // of questions
};

}  // namespace pprofd

#endif  // SYMBOLIZER_SERVICE_SYMBOLIZER_SERVER_H_
