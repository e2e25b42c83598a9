// Stacks that do not end in main: threads, and a context of its own, below
// whose first function glibc describes nothing.
#include <pthread.h>
#include <ucontext.h>

#include <thread>

#include "scenarios.h"

namespace burn {

struct ThreadWork {
  uint64_t rounds = 0;
  uint64_t cpu_ns = 0;
};

BURN_FRAME void ThreadLeaf(uint64_t rounds) { BURN_SPIN(rounds); }

BURN_FRAME void StdThreadBody(ThreadWork* work) {
  ThreadLeaf(work->rounds);
  work->cpu_ns = ThreadCpuNs();
}

BURN_FRAME uint64_t RunStdThread(uint64_t rounds) {
  ThreadWork work{.rounds = rounds};
  std::thread thread(StdThreadBody, &work);
  thread.join();
  return work.cpu_ns;
}

BURN_FRAME void* PthreadBody(void* argument) {
  auto* work = static_cast<ThreadWork*>(argument);
  ThreadLeaf(work->rounds);
  work->cpu_ns = ThreadCpuNs();
  return nullptr;
}

BURN_FRAME uint64_t RunPthread(uint64_t rounds) {
  ThreadWork work{.rounds = rounds};
  pthread_t thread{};
  if (pthread_create(&thread, nullptr, PthreadBody, &work) != 0) return 0;
  pthread_join(thread, nullptr);
  return work.cpu_ns;
}

ucontext_t main_context;
ucontext_t fiber_context;
uint64_t fiber_rounds;
char fiber_stack[64 << 10];

BURN_FRAME void FiberLeaf(uint64_t rounds) { BURN_SPIN(rounds); }

BURN_FRAME void FiberBody() {
  FiberLeaf(fiber_rounds);
  BURN_KEEP_FRAME();
}

BURN_FRAME uint64_t RunFiber(uint64_t rounds) {
  fiber_rounds = rounds;
  getcontext(&fiber_context);
  fiber_context.uc_stack.ss_sp = fiber_stack;
  fiber_context.uc_stack.ss_size = sizeof(fiber_stack);
  fiber_context.uc_link = &main_context;
  makecontext(&fiber_context, FiberBody, 0);
  swapcontext(&main_context, &fiber_context);
  return 0;
}

void AddThreadScenarios(Scenarios& scenarios) {
  scenarios.push_back({.name = "std_thread",
                       .marker = "burn::StdThreadBody",
                       .run = RunStdThread,
                       .chains = {{"burn::ThreadLeaf", "burn::StdThreadBody"},
                                  WithMain({"burn::RunStdThread"})},
                       .roots = {"clone3", "__clone3", "clone", "__clone"}});
  scenarios.push_back({.name = "pthread",
                       .marker = "burn::PthreadBody",
                       .run = RunPthread,
                       .chains = {{"burn::ThreadLeaf", "burn::PthreadBody"},
                                  WithMain({"burn::RunPthread"})},
                       .roots = {"clone3", "__clone3", "clone", "__clone"}});
  scenarios.push_back({.name = "fiber",
                       .marker = "burn::FiberBody",
                       .run = RunFiber,
                       .chains = {{"burn::FiberLeaf", "burn::FiberBody"},
                                  WithMain({"burn::RunFiber"})},
                       .roots = {"burn::FiberBody"}});
}

}  // namespace burn
