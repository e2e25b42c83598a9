// Frames of every shape: variable, big, realigned, many, thrown through.
#include <alloca.h>

#include <cstring>

#include "scenarios.h"

namespace burn {

constexpr int kRecursionDepth = 200;

BURN_FRAME void AllocaLeaf(char* buffer, uint64_t rounds) {
  BURN_SPIN(rounds);
  buffer[0] = 1;
}

BURN_FRAME void AllocaFrame(uint64_t size, uint64_t rounds) {
  char* buffer = static_cast<char*>(alloca(size));
  AllocaLeaf(buffer, rounds);
  BURN_KEEP_FRAME();
}

BURN_FRAME uint64_t RunAlloca(uint64_t rounds) {
  AllocaFrame(1000 + rounds % 1000, rounds);
  BURN_KEEP_FRAME();
  return 0;
}

BURN_FRAME void BigLeaf(volatile char* buffer, uint64_t rounds) {
  BURN_SPIN(rounds);
  buffer[0] = 1;
}

BURN_FRAME void BigFrame(uint64_t rounds) {
  volatile char buffer[200'000];
  BigLeaf(buffer, rounds);
  BURN_KEEP_FRAME();
}

BURN_FRAME uint64_t RunBigFrame(uint64_t rounds) {
  BigFrame(rounds);
  BURN_KEEP_FRAME();
  return 0;
}

BURN_FRAME void AlignedLeaf(volatile float* lanes, uint64_t rounds) {
  BURN_SPIN(rounds);
  lanes[0] = 1;
}

BURN_FRAME void AlignedFrame(uint64_t rounds) {
  alignas(64) volatile float lanes[32];
  AlignedLeaf(lanes, rounds);
  BURN_KEEP_FRAME();
}

// Needs both its caller's stack arguments and an aligned frame of variable
// size, so the compiler keeps the caller's stack pointer in the frame.
BURN_FRAME void AlignedFrameWithArguments(uint64_t rounds, int a, int b, int c,
                                          int d, int e, int size, int f) {
  alignas(64) volatile float lanes[32];
  char* variable = static_cast<char*>(alloca(static_cast<size_t>(size)));
  variable[0] = static_cast<char>(a + b + c + d + e + f);
  asm volatile("" ::"r"(variable) : "memory");
  AlignedLeaf(lanes, rounds);
  BURN_KEEP_FRAME();
}

BURN_FRAME uint64_t RunAligned(uint64_t rounds) {
  AlignedFrame(rounds / 2);
  AlignedFrameWithArguments(rounds / 2, 1, 2, 3, 4, 5, 600, 7);
  BURN_KEEP_FRAME();
  return 0;
}

BURN_FRAME void RecursionLeaf(uint64_t rounds) { BURN_SPIN(rounds); }

BURN_FRAME void Recurse(int depth, uint64_t rounds) {
  if (depth > 1) {
    Recurse(depth - 1, rounds);
  } else {
    RecursionLeaf(rounds);
  }
  BURN_KEEP_FRAME();
}

BURN_FRAME uint64_t RunRecursion(uint64_t rounds) {
  Recurse(kRecursionDepth, rounds);
  BURN_KEEP_FRAME();
  return 0;
}

BURN_FRAME void CleanUpLeaf(uint64_t rounds) { BURN_SPIN(rounds); }

struct SpinsWhenDestroyed {
  uint64_t rounds;
  ~SpinsWhenDestroyed() {
    CleanUpLeaf(rounds);
    BURN_KEEP_FRAME();
  }
};

BURN_FRAME void Thrower(uint64_t rounds) {
  BURN_SPIN(rounds);
  throw rounds;
}

BURN_FRAME void ThrownThrough(uint64_t rounds) {
  SpinsWhenDestroyed clean_up{rounds};
  Thrower(rounds);
  BURN_KEEP_FRAME();
}

BURN_FRAME uint64_t RunException(uint64_t rounds) {
  try {
    ThrownThrough(rounds / 2);
  } catch (uint64_t thrown) {
    asm volatile("" ::"r"(thrown));
  }
  return 0;
}

void AddFrameScenarios(Scenarios& scenarios) {
  scenarios.push_back(
      {.name = "alloca",
       .marker = "burn::RunAlloca",
       .run = RunAlloca,
       .chains = {WithMain(
           {"burn::AllocaLeaf", "burn::AllocaFrame", "burn::RunAlloca"})}});
  scenarios.push_back({.name = "big_frame",
                       .marker = "burn::RunBigFrame",
                       .run = RunBigFrame,
                       .chains = {WithMain({"burn::BigLeaf", "burn::BigFrame",
                                            "burn::RunBigFrame"})}});
  scenarios.push_back(
      {.name = "aligned",
       .marker = "burn::RunAligned",
       .run = RunAligned,
       .chains = {
           WithMain(
               {"burn::AlignedLeaf", "burn::AlignedFrame", "burn::RunAligned"}),
           WithMain({"burn::AlignedLeaf", "burn::AlignedFrameWithArguments",
                     "burn::RunAligned"})}});
  Chain recursion(kRecursionDepth, "burn::Recurse");
  recursion.insert(recursion.begin(), "burn::RecursionLeaf");
  recursion.push_back("burn::RunRecursion");
  scenarios.push_back({.name = "recursion",
                       .marker = "burn::RunRecursion",
                       .run = RunRecursion,
                       .chains = {WithMain(recursion)}});
  scenarios.push_back(
      {.name = "exception",
       .marker = "burn::RunException",
       .run = RunException,
       .chains = {WithMain({"burn::Thrower", "burn::ThrownThrough",
                            "burn::RunException"}),
                  WithMain({"burn::CleanUpLeaf", "burn::ThrownThrough",
                            "burn::RunException"})}});
}

}  // namespace burn
