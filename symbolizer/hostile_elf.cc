#include "symbolizer/hostile_elf.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <fstream>

namespace pprofd {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsSanitized = true;  // slower, and with memory of its own
#else
constexpr bool kIsSanitized = false;
#endif

constexpr double kGraceSeconds = kIsSanitized ? 20 : 2;

// A line of /proc/self/status, which counts in KiB.
uint64_t StatusBytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kib = 0;
    if (word == name + ":" && status >> kib) return kib << 10;
  }
  ADD_FAILURE() << "no " << name;
  return 0;
}

// Makes the present size the peak.
void ForgetPeak() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  EXPECT_TRUE(file.good());
}

// Of this process: other load on the machine does not count.
double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_nsec) / 1e9;
}

std::vector<ModuleAddr> AddressesOf(const HostileQuestion& question) {
  std::vector<ModuleAddr> addresses;
  addresses.reserve(question.address_count);
  for (uint64_t i = 0; i < question.address_count; ++i) {
    addresses.push_back(
        {question.start + i * question.size / question.address_count});
  }
  return addresses;
}

}  // namespace

HostileAnswer Ask(int file, const HostileQuestion& question) {
  using std::chrono::steady_clock;
  std::vector<ModuleAddr> addresses = AddressesOf(question);
  Symbolizer::Options options;
  options.debug_roots = question.debug_roots;
  Symbolizer symbolizer(options);
  HostileAnswer answer;
  ForgetPeak();
  uint64_t bytes_before = StatusBytes("VmRSS");
  double cpu_before = CpuSeconds();
  answer.symbols = symbolizer.SymbolizeModule(
      file, "hostile", question.path, "", addresses, DemangleStyle::kShort,
      steady_clock::now() + std::chrono::seconds(kDeadlineSeconds));
  answer.report = symbolizer.Report("hostile");
  answer.cpu_seconds = CpuSeconds() - cpu_before;
  uint64_t peak = StatusBytes("VmHWM");
  answer.grown_bytes = peak > bytes_before ? peak - bytes_before : 0;
  EXPECT_EQ(answer.symbols.size(), addresses.size());
  return answer;
}

HostileAnswer Ask(const std::vector<uint8_t>& bytes,
                  const HostileQuestion& question) {
  UniqueFd fd(memfd_create("hostile", MFD_CLOEXEC));
  EXPECT_EQ(write(fd.get(), bytes.data(), bytes.size()),
            static_cast<ssize_t>(bytes.size()));
  return Ask(fd.get(), question);
}

void ExpectWithinLimits(const HostileAnswer& answer, uint64_t max_bytes) {
  EXPECT_LE(answer.cpu_seconds, kDeadlineSeconds + kGraceSeconds);
  if (!kIsSanitized) {
    EXPECT_LE(answer.grown_bytes, max_bytes);
  }
}

}  // namespace pprofd
