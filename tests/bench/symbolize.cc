// bench_symbolize FILE {bulk | first | warm}: names the addresses that stdin
// has, hexadecimal and one a line, by class Symbolizer in this process.
//
// "first" names the first of them alone, "bulk" all in one call, and "warm" all
// of them again, in kWarmCalls calls that find everything known. Prints
// "ADDRESSES CALL_LEVELS CPU_NS": user and system time of the process from its
// start, for "warm" of the later calls alone.
#include <fcntl.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/unique_handle.h"
#include "symbolizer/symbolizer.h"

namespace {

using pprofd::ModuleAddr;

constexpr int kWarmCalls = 10;

int64_t CpuNs() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  auto ns = [](const timeval& time) {
    return (time.tv_sec * int64_t{1'000'000} + time.tv_usec) * 1000;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

std::vector<ModuleAddr> ReadAddresses() {
  std::vector<ModuleAddr> addresses;
  std::string line;
  while (std::getline(std::cin, line)) {
    addresses.push_back({std::strtoull(line.c_str(), nullptr, 16)});
  }
  return addresses;
}

// Returns the number of call levels found.
size_t Name(pprofd::Symbolizer& symbolizer, int file, const std::string& path,
            const std::vector<ModuleAddr>& addresses) {
  pprofd::ModuleSymbols symbols = symbolizer.SymbolizeModule(
      file, "benchmark", path, "", addresses, pprofd::DemangleStyle::kShort,
      std::chrono::steady_clock::now() + std::chrono::hours(1));
  return symbols.calls.size();
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view what = argc == 3 ? argv[2] : "";
  if (what != "bulk" && what != "first" && what != "warm") {
    std::cerr << "usage: bench_symbolize FILE {bulk | first | warm}\n";
    return 2;
  }
  std::string path = argv[1];
  pprofd::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    std::perror(path.c_str());
    return 1;
  }
  std::vector<ModuleAddr> addresses = ReadAddresses();
  if (what == "first" && addresses.size() > 1) addresses.resize(1);
  pprofd::Symbolizer symbolizer({});
  size_t levels = Name(symbolizer, file.get(), path, addresses);
  int64_t cpu_ns = CpuNs();
  size_t count = addresses.size();
  if (what == "warm") {
    for (int i = 0; i < kWarmCalls; ++i) {
      levels = Name(symbolizer, file.get(), path, addresses);
    }
    cpu_ns = CpuNs() - cpu_ns;
    count *= kWarmCalls;
  }
  std::cout << count << " " << levels << " " << cpu_ns << "\n";
}
