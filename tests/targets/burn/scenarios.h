// Scenarios: ways of burning CPU whose stacks are known in advance.
//
// A scenario runs for about a given number of spin rounds and names the stacks
// that a profiler may see meanwhile: chains of the program's own functions,
// leaf first, "main" last. Own functions have external linkage, so that a
// stripped program built with -rdynamic keeps their names, and are not inlined
// or cloned, so that each call is a frame.
// Thread: main thread; a scenario that starts threads joins them.
#ifndef TESTS_TARGETS_BURN_SCENARIOS_H_
#define TESTS_TARGETS_BURN_SCENARIOS_H_

#include <time.h>

#include <cstdint>
#include <string>
#include <vector>

#ifdef __clang__
#define BURN_FRAME __attribute__((noinline, disable_tail_calls))
#define BURN_TAIL __attribute__((noinline))
#else
#define BURN_FRAME __attribute__((noipa))
#define BURN_TAIL __attribute__((noipa))
#endif

// Stands after a call so that it is not the last thing a function does.
#define BURN_KEEP_FRAME() asm volatile("" ::: "memory")

// One multiplication chain; about a nanosecond a round.
#define BURN_SPIN(rounds)                                              \
  do {                                                                 \
    uint64_t burn_state = (rounds);                                    \
    for (uint64_t burn_left = (rounds); burn_left != 0; --burn_left) { \
      burn_state = burn_state * 6364136223846793005u + burn_left;      \
      asm volatile("" : "+r"(burn_state));                             \
    }                                                                  \
  } while (false)

namespace burn {

using Chain = std::vector<std::string>;

// A function that a -g build knows by inlining only, and its lines.
struct InlinedFunction {
  std::string name;
  int first_line = 0;
  int last_line = 0;
};

struct Scenario {
  std::string name;
  // Seen in every sample of the scenario and in no other one's.
  std::string marker;
  // Returns the CPU time that threads it started have used, in ns.
  uint64_t (*run)(uint64_t rounds) = nullptr;
  uint32_t weight = 1;  // share of the spin rounds
  std::vector<Chain> chains = {};
  std::vector<InlinedFunction> inlined = {};  // innermost first
  // Where its stacks end when not in main.
  std::vector<std::string> roots = {};
};

using Scenarios = std::vector<Scenario>;

// Appended to every chain of the main thread.
Chain WithMain(Chain chain);

void AddCallScenarios(Scenarios& scenarios);
void AddFrameScenarios(Scenarios& scenarios);
void AddSignalScenarios(Scenarios& scenarios);
void AddThreadScenarios(Scenarios& scenarios);
// `plugin_path` empty: no dlopen'd library.
void AddLibraryScenarios(Scenarios& scenarios, const std::string& plugin_path);

inline uint64_t ThreadCpuNs() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace burn

#endif  // TESTS_TARGETS_BURN_SCENARIOS_H_
