// Calls of every sort: plain, by library, virtual, tail, inlined, never back.
#include <setjmp.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <vector>

#include "scenarios.h"

extern "C" {

BURN_FRAME void leaf_a(uint64_t rounds) { BURN_SPIN(rounds); }
BURN_FRAME void leaf_b(uint64_t rounds) { BURN_SPIN(rounds); }
BURN_FRAME void leaf_c(uint64_t rounds) { BURN_SPIN(rounds); }

BURN_FRAME void hop_a(uint64_t rounds) {
  leaf_a(rounds);
  BURN_KEEP_FRAME();
}

BURN_FRAME uint64_t path_a(uint64_t rounds) {
  hop_a(rounds);
  BURN_KEEP_FRAME();
  return 0;
}

BURN_FRAME int qsort_order(const void* left, const void* right) {
  BURN_SPIN(400);
  return *static_cast<const int*>(left) - *static_cast<const int*>(right);
}

BURN_FRAME void tail_leaf(uint64_t rounds) { BURN_SPIN(rounds); }

// Jumps to tail_leaf: leaves no frame.
BURN_TAIL void tail_jump(uint64_t rounds) { return tail_leaf(rounds + 1); }

BURN_FRAME uint64_t run_tail(uint64_t rounds) {
  tail_jump(rounds);
  BURN_KEEP_FRAME();
  return 0;
}

}  // extern "C"

namespace burn {

BURN_FRAME void HopB(uint64_t rounds) {
  leaf_b(rounds);
  BURN_KEEP_FRAME();
}

BURN_FRAME void MiddleB(uint64_t rounds) {
  HopB(rounds);
  BURN_KEEP_FRAME();
}

BURN_FRAME uint64_t PathB(uint64_t rounds) {
  MiddleB(rounds);
  BURN_KEEP_FRAME();
  return 0;
}

BURN_FRAME uint64_t PathC(uint64_t rounds) {
  leaf_c(rounds);
  BURN_KEEP_FRAME();
  return 0;
}

BURN_FRAME bool SortOrder(int left, int right) {
  BURN_SPIN(400);
  return left < right;
}

BURN_FRAME std::vector<int> ShuffledInts(size_t size) {
  std::vector<int> ints(size);
  uint32_t state = 1;
  for (int& value : ints) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<int>(state >> 4);
  }
  return ints;
}

// Sorting 64 ints compares some 400 times, 400 rounds each.
constexpr uint64_t kRoundsPerSort = 160'000;

BURN_FRAME uint64_t RunSort(uint64_t rounds) {
  for (uint64_t done = 0; done < rounds; done += kRoundsPerSort) {
    std::vector<int> ints = ShuffledInts(64);
    std::sort(ints.begin(), ints.end(), SortOrder);
  }
  return 0;
}

BURN_FRAME uint64_t RunQsort(uint64_t rounds) {
  for (uint64_t done = 0; done < rounds; done += kRoundsPerSort) {
    std::vector<int> ints = ShuffledInts(64);
    qsort(ints.data(), ints.size(), sizeof(int), qsort_order);
  }
  return 0;
}

BURN_FRAME void FunctionBody(uint64_t rounds) { BURN_SPIN(rounds); }

std::function<void(uint64_t)> stored_function = FunctionBody;

BURN_FRAME uint64_t RunFunction(uint64_t rounds) {
  stored_function(rounds);
  BURN_KEEP_FRAME();
  return 0;
}

class Worker {
 public:
  virtual ~Worker() = default;
  virtual void Work(uint64_t rounds) = 0;
};

class SpinWorker : public Worker {
 public:
  BURN_FRAME void Work(uint64_t rounds) override { BURN_SPIN(rounds); }
};

SpinWorker spin_worker;
Worker* volatile worker = &spin_worker;

BURN_FRAME uint64_t RunVirtual(uint64_t rounds) {
  worker->Work(rounds);
  BURN_KEEP_FRAME();
  return 0;
}

constexpr int kInlineLeafFirstLine = __LINE__ + 1;
[[gnu::always_inline]] inline void InlineLeaf(uint64_t rounds) {
  BURN_SPIN(rounds);
}
constexpr int kInlineLeafLastLine = __LINE__ - 1;

constexpr int kInlineMiddleFirstLine = __LINE__ + 1;
[[gnu::always_inline]] inline void InlineMiddle(uint64_t rounds) {
  InlineLeaf(rounds / 2);
  InlineLeaf(rounds / 2);
}
constexpr int kInlineMiddleLastLine = __LINE__ - 1;

BURN_FRAME uint64_t RunInlined(uint64_t rounds) {
  InlineMiddle(rounds);
  BURN_KEEP_FRAME();
  return 0;
}

jmp_buf way_back;

// A call of this is the last instruction of its caller, so that the return
// address lies behind the caller's end.
[[noreturn]] BURN_FRAME void NoReturnLeaf(uint64_t rounds) {
  BURN_SPIN(rounds);
  longjmp(way_back, 1);
}

[[noreturn]] BURN_FRAME void NoReturnCaller(uint64_t rounds) {
  NoReturnLeaf(rounds);
}

BURN_FRAME uint64_t RunNoReturn(uint64_t rounds) {
  if (setjmp(way_back) == 0) NoReturnCaller(rounds);
  BURN_KEEP_FRAME();
  return 0;
}

void AddCallScenarios(Scenarios& scenarios) {
  scenarios.push_back({.name = "a",
                       .marker = "path_a",
                       .run = path_a,
                       .weight = 5,
                       .chains = {WithMain({"leaf_a", "hop_a", "path_a"})}});
  scenarios.push_back({.name = "b",
                       .marker = "burn::PathB",
                       .run = PathB,
                       .weight = 3,
                       .chains = {WithMain({"leaf_b", "burn::HopB",
                                            "burn::MiddleB", "burn::PathB"})}});
  scenarios.push_back({.name = "c",
                       .marker = "burn::PathC",
                       .run = PathC,
                       .weight = 2,
                       .chains = {WithMain({"leaf_c", "burn::PathC"})}});
  scenarios.push_back(
      {.name = "sort",
       .marker = "burn::RunSort",
       .run = RunSort,
       .chains = {WithMain({"burn::SortOrder", "burn::RunSort"}),
                  WithMain({"burn::ShuffledInts", "burn::RunSort"})}});
  scenarios.push_back(
      {.name = "qsort",
       .marker = "burn::RunQsort",
       .run = RunQsort,
       .chains = {WithMain({"qsort_order", "burn::RunQsort"}),
                  WithMain({"burn::ShuffledInts", "burn::RunQsort"})}});
  scenarios.push_back(
      {.name = "function",
       .marker = "burn::RunFunction",
       .run = RunFunction,
       .chains = {WithMain({"burn::FunctionBody", "burn::RunFunction"})}});
  scenarios.push_back(
      {.name = "virtual",
       .marker = "burn::RunVirtual",
       .run = RunVirtual,
       .chains = {WithMain({"burn::SpinWorker::Work", "burn::RunVirtual"})}});
  scenarios.push_back({.name = "tail",
                       .marker = "run_tail",
                       .run = run_tail,
                       .chains = {WithMain({"tail_leaf", "run_tail"}),
                                  WithMain({"tail_jump", "run_tail"})}});
  scenarios.push_back(
      {.name = "inlined",
       .marker = "burn::RunInlined",
       .run = RunInlined,
       .chains = {WithMain({"burn::RunInlined"})},
       .inlined = {
           {"burn::InlineLeaf", kInlineLeafFirstLine, kInlineLeafLastLine},
           {"burn::InlineMiddle", kInlineMiddleFirstLine,
            kInlineMiddleLastLine}}});
  scenarios.push_back(
      {.name = "noreturn",
       .marker = "burn::RunNoReturn",
       .run = RunNoReturn,
       .chains = {WithMain({"burn::NoReturnLeaf", "burn::NoReturnCaller",
                            "burn::RunNoReturn"})}});
}

}  // namespace burn
