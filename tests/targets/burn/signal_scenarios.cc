// Handlers on top of the code they interrupt, and code behind the kernel.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

#include "scenarios.h"

namespace burn {

std::atomic<uint64_t> handler_rounds{0};
char alternate_stack[128 << 10];

BURN_FRAME void HandlerLeaf(uint64_t rounds) { BURN_SPIN(rounds); }

BURN_FRAME void RaisedHandler(int) {
  HandlerLeaf(handler_rounds);
  BURN_KEEP_FRAME();
}

BURN_FRAME void AlternateStackHandler(int) {
  HandlerLeaf(handler_rounds);
  BURN_KEEP_FRAME();
}

BURN_FRAME void TimerHandler(int) {
  HandlerLeaf(handler_rounds);
  BURN_KEEP_FRAME();
}

void Handle(int signal_number, void (*handler)(int), int flags) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(signal_number, &action, nullptr);
}

BURN_FRAME uint64_t RunRaised(uint64_t rounds) {
  handler_rounds = rounds;
  pthread_kill(pthread_self(), SIGUSR1);
  BURN_KEEP_FRAME();
  return 0;
}

BURN_FRAME uint64_t RunAlternateStack(uint64_t rounds) {
  handler_rounds = rounds;
  pthread_kill(pthread_self(), SIGUSR2);
  BURN_KEEP_FRAME();
  return 0;
}

// Interrupted at any instruction, and a leaf.
BURN_FRAME void Interrupted(uint64_t rounds) { BURN_SPIN(rounds); }

BURN_FRAME uint64_t RunTimer(uint64_t rounds) {
  handler_rounds = rounds / 16;
  itimerval timer{};
  timer.it_interval.tv_usec = timer.it_value.tv_usec = 500;
  setitimer(ITIMER_REAL, &timer, nullptr);
  Interrupted(rounds / 2);
  timer = {};
  setitimer(ITIMER_REAL, &timer, nullptr);
  return 0;
}

// The vDSO's leaf, some 30 ns a call.
BURN_FRAME uint64_t RunVdso(uint64_t rounds) {
  timespec now{};
  for (uint64_t call = 0; call < rounds / 30; ++call) {
    clock_gettime(CLOCK_MONOTONIC, &now);
  }
  return 0;
}

// Mostly in the kernel: clearing 64 KiB takes some 5 us.
BURN_FRAME uint64_t RunSyscalls(uint64_t rounds) {
  static char buffer[64 << 10];
  static const int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  for (uint64_t call = 0; call < rounds / 5000; ++call) {
    if (read(zero, buffer, sizeof(buffer)) < 0) return 0;
  }
  return 0;
}

void AddSignalScenarios(Scenarios& scenarios) {
  stack_t stack{};
  stack.ss_sp = alternate_stack;
  stack.ss_size = sizeof(alternate_stack);
  sigaltstack(&stack, nullptr);
  Handle(SIGUSR1, RaisedHandler, SA_RESTART);
  Handle(SIGUSR2, AlternateStackHandler, SA_RESTART | SA_ONSTACK);
  Handle(SIGALRM, TimerHandler, SA_RESTART);

  scenarios.push_back(
      {.name = "signal",
       .marker = "burn::RunRaised",
       .run = RunRaised,
       .chains = {WithMain(
           {"burn::HandlerLeaf", "burn::RaisedHandler", "burn::RunRaised"})}});
  scenarios.push_back(
      {.name = "alternate_stack",
       .marker = "burn::RunAlternateStack",
       .run = RunAlternateStack,
       .chains = {WithMain({"burn::HandlerLeaf", "burn::AlternateStackHandler",
                            "burn::RunAlternateStack"})}});
  scenarios.push_back(
      {.name = "timer_signal",
       .marker = "burn::RunTimer",
       .run = RunTimer,
       .chains = {WithMain({"burn::HandlerLeaf", "burn::TimerHandler",
                            "burn::Interrupted", "burn::RunTimer"}),
                  WithMain({"burn::HandlerLeaf", "burn::TimerHandler",
                            "burn::RunTimer"})}});
  scenarios.push_back({.name = "vdso",
                       .marker = "burn::RunVdso",
                       .run = RunVdso,
                       .chains = {WithMain({"burn::RunVdso"})}});
  scenarios.push_back({.name = "syscalls",
                       .marker = "burn::RunSyscalls",
                       .run = RunSyscalls,
                       .chains = {WithMain({"burn::RunSyscalls"})}});
}

}  // namespace burn
