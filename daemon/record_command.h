// RecordCommand: profiles a program from its first instruction to its exit.
//
// The program waits in a process of its own until sampling has begun; with
// memory wanted, libpprofd_heap.so is put in front of its allocator.
// Owns: the process. Borrows: the service while it runs.
// Thread: the main thread, and Start before any other thread is.
// Bound: none on how long the program runs; samples are bounded as those of
//   every capture.
// Fails: Invalid with what is wrong with the request; NotFound when there is no
//   such program or library; what the service says.
#ifndef DAEMON_RECORD_COMMAND_H_
#define DAEMON_RECORD_COMMAND_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/base/unique_handle.h"
#include "daemon/model/profile_service.h"

namespace pprofd {

struct RecordRequest {
  std::vector<std::string> command;
  std::string cpu_file;  // "" = not wanted
  std::string heap_file;
  uint32_t hz = 99;
  // The first that is there is taken.
  std::vector<std::string> preload_libraries;
};

class RecordCommand {
 public:
  // Makes the process, which waits.
  static Result<RecordCommand> Start(RecordRequest request);
  ~RecordCommand();
  RecordCommand(RecordCommand&& other) noexcept;
  RecordCommand& operator=(RecordCommand&&) = delete;

  // Lets the program run and writes what was sampled; its exit status, or 128
  // and the number of the signal that ended it.
  Result<int> Run(ProfileService& service);

 private:
  explicit RecordCommand(RecordRequest request)
      : request_(std::move(request)) {}

  Status Fork(const std::string& library);
  Status Release();
  Status WriteCpu(ProfileService& service, std::unique_ptr<Capture> capture);
  Status WriteHeap(ProfileService& service) const;

  RecordRequest request_;
  pid_t pid_ = 0;       // 0 = none, or it has been waited for
  UniqueFd may_begin_;  // written: the program runs; closed: it never will
  UniqueFd exec_error_;
};

}  // namespace pprofd

#endif  // DAEMON_RECORD_COMMAND_H_
