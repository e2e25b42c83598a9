// pprofd-symbolizer: reads foreign files for pprofd, with no rights at all.
//
// Started by pprofd with the socket as its only descriptor beside stderr, and
// an argument that says to people what it is for. Exit codes are part of what
// they say to each other: see process_contract.h.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <new>
#include <utility>

#include "daemon/base/memory_policy.h"
#include "symbolizer/service/process_contract.h"
#include "symbolizer/service/symbolizer_server.h"

namespace pprofd {
namespace {

// The file at hand needs more than it may have: no use in going on.
void GiveUp() { _exit(kExitOutOfMemory); }

int Serve() {
  // Started by a descriptor, it would be called by that number.
  prctl(PR_SET_NAME, "pprofd-symbolizer");
  // Descriptors that others left open in pprofd are none of ours.
  syscall(SYS_close_range, kSymbolizerSocket + 1, UINT_MAX, 0);
  UniqueFd socket(kSymbolizerSocket);
  std::set_new_handler(GiveUp);
  SetMemoryPolicy();
  Result<Confinement> confinement = EnterSandbox();
  if (!confinement.ok()) {
    fprintf(stderr, "pprofd-symbolizer: cannot confine itself: %s\n",
            confinement.status().message().c_str());
    return kExitNotConfined;
  }
  SymbolizerServer server(std::move(socket), PPROFD_BUILD, *confinement);
  Status status = server.Run();
  if (status.ok()) return 0;
  fprintf(stderr, "pprofd-symbolizer: %s\n", status.message().c_str());
  return kExitOutOfStep;
}

}  // namespace
}  // namespace pprofd

int main() {
  if (fcntl(pprofd::kSymbolizerSocket, F_GETFD) < 0) {
    fprintf(stderr,
            "pprofd-symbolizer: only pprofd can start this: run `pprofd run` "
            "or `pprofd symbolize`\n");
    return pprofd::kExitOutOfStep;
  }
  return pprofd::Serve();
}
