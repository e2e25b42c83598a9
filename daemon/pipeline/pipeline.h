// Pipeline: builds the stages, connects them, starts and stops them in order.
//
// The only place that knows every stage.
// Owns: all of them. Borrows: nothing.
// Thread: Create, Run and the destructor on the main thread; Stop from any
//   thread.
// Fails: with one message that says what is missing and what to do.
#ifndef DAEMON_PIPELINE_PIPELINE_H_
#define DAEMON_PIPELINE_PIPELINE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/base/status.h"
#include "daemon/collector/bpf_program.h"
#include "daemon/config.h"
#include "daemon/model/profile_service.h"

namespace pprofd {

class Pipeline {
 public:
  // Loads and attaches: after this samples are taken. Listens, too, if it is to
  // serve them.
  enum class Use { kServe, kCollect };
  static Result<std::unique_ptr<Pipeline>> Create(const Config& config,
                                                  Use use = Use::kServe);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  ProfileService& service();
  // "127.0.0.1:6066", with the real port. REQUIRES: kServe, as Run.
  std::string http_address() const;
  // Serves until SIGINT or SIGTERM.
  void Run();

 private:
  class Impl;
  explicit Pipeline(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Loads and checks without sampling; what `pprofd check` prints.
Result<std::vector<ProgramCost>> CheckPrograms();

}  // namespace pprofd

#endif  // DAEMON_PIPELINE_PIPELINE_H_
