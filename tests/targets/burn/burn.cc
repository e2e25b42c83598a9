// burn: burns CPU in ways whose stacks and shares it knows, and tells them.
//
//   burn [--mode=all|shares|NAME] [--seconds=S] [--plugin=FILE]
//
// Prints "ready PID" once its speed is known. On SIGTERM, or after S seconds,
// prints its truth as one line of JSON: per scenario the CPU time measured by
// itself, the stacks it can show (leaf first) and what is inlined.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "scenarios.h"

extern "C" void leaf_a(uint64_t rounds);

namespace burn {

std::atomic<bool> stopping{false};

void Stop(int) { stopping = true; }

Chain WithMain(Chain chain) {
  chain.push_back("burn::RunRounds");
  chain.push_back("main");
  return chain;
}

uint64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<uint64_t>(now.tv_nsec);
}

struct Truth {
  Scenario scenario;
  uint64_t cpu_ns = 0;
};

uint64_t RoundsPerMillisecond() {
  constexpr uint64_t kRounds = 3'000'000;
  leaf_a(kRounds);  // warms up
  const uint64_t start_ns = ThreadCpuNs();
  leaf_a(kRounds);
  const uint64_t used_ns = ThreadCpuNs() - start_ns + 1;
  return kRounds * 1'000'000 / used_ns + 1;
}

// Every pass gives each scenario its share of one to three milliseconds per
// weight; the pass's length varies so that no timer keeps step with it.
BURN_FRAME void RunRounds(std::vector<Truth>& truths, uint64_t until_ns) {
  const uint64_t rounds_per_ms = RoundsPerMillisecond();
  std::printf("ready %d\n", getpid());
  std::fflush(stdout);
  uint32_t random = 7;
  while (!stopping && MonotonicNs() < until_ns) {
    random = random * 1664525u + 1013904223u;
    const uint64_t rounds =
        rounds_per_ms * (1000 + (random >> 8) % 2000) / 1000;
    for (Truth& truth : truths) {
      const uint64_t start_ns = ThreadCpuNs();
      const uint64_t threads_ns =
          truth.scenario.run(rounds * truth.scenario.weight);
      truth.cpu_ns += ThreadCpuNs() - start_ns + threads_ns;
    }
  }
}

void PrintStrings(const std::vector<std::string>& strings) {
  std::printf("[");
  for (size_t i = 0; i < strings.size(); ++i) {
    std::printf("%s\"%s\"", i == 0 ? "" : ",", strings[i].c_str());
  }
  std::printf("]");
}

void PrintScenario(const Truth& truth) {
  const Scenario& scenario = truth.scenario;
  std::printf("{\"name\":\"%s\",\"marker\":\"%s\",\"cpu_ns\":%llu,\"chains\":[",
              scenario.name.c_str(), scenario.marker.c_str(),
              static_cast<unsigned long long>(truth.cpu_ns));
  for (size_t i = 0; i < scenario.chains.size(); ++i) {
    if (i != 0) std::printf(",");
    PrintStrings(scenario.chains[i]);
  }
  std::printf("],\"roots\":");
  PrintStrings(scenario.roots);
  std::printf(",\"inlined\":[");
  for (size_t i = 0; i < scenario.inlined.size(); ++i) {
    const InlinedFunction& function = scenario.inlined[i];
    std::printf("%s{\"name\":\"%s\",\"first_line\":%d,\"last_line\":%d}",
                i == 0 ? "" : ",", function.name.c_str(), function.first_line,
                function.last_line);
  }
  std::printf("]}");
}

void PrintTruth(const std::vector<Truth>& truths) {
  std::printf("{\"pid\":%d,\"scenarios\":[", getpid());
  for (size_t i = 0; i < truths.size(); ++i) {
    if (i != 0) std::printf(",");
    PrintScenario(truths[i]);
  }
  std::printf("]}\n");
  std::fflush(stdout);
}

struct Options {
  std::string mode = "all";
  std::string plugin_path;
  uint64_t seconds = 60;
};

bool ParseOptions(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const size_t equals = argument.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view key = argument.substr(0, equals);
    const std::string value(argument.substr(equals + 1));
    if (key == "--mode") {
      options.mode = value;
    } else if (key == "--plugin") {
      options.plugin_path = value;
    } else if (key == "--seconds") {
      options.seconds = std::strtoull(value.c_str(), nullptr, 10);
    } else {
      return false;
    }
  }
  return true;
}

std::vector<Truth> SelectScenarios(const Options& options) {
  Scenarios scenarios;
  AddCallScenarios(scenarios);
  AddFrameScenarios(scenarios);
  AddSignalScenarios(scenarios);
  AddThreadScenarios(scenarios);
  AddLibraryScenarios(scenarios, options.plugin_path);
  std::vector<Truth> truths;
  for (Scenario& scenario : scenarios) {
    const bool is_share = scenario.name.size() == 1;
    // Among all, the shares' scenarios weigh as much as any other.
    if (options.mode == "all") scenario.weight = 1;
    if (options.mode == "all" || options.mode == scenario.name ||
        (options.mode == "shares" && is_share)) {
      truths.push_back({.scenario = scenario});
    }
  }
  return truths;
}

}  // namespace burn

int main(int argc, char** argv) {
  burn::Options options;
  if (!burn::ParseOptions(argc, argv, options)) {
    std::fprintf(stderr,
                 "usage: burn [--mode=M] [--seconds=S] [--plugin=FILE]\n");
    return 2;
  }
  std::vector<burn::Truth> truths = burn::SelectScenarios(options);
  if (truths.empty()) {
    std::fprintf(stderr, "burn: no mode %s\n", options.mode.c_str());
    return 2;
  }
  signal(SIGTERM, burn::Stop);
  burn::RunRounds(truths,
                  burn::MonotonicNs() + options.seconds * 1'000'000'000u);
  burn::PrintTruth(truths);
  return 0;
}
