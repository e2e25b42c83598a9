#include "daemon/unwind/stack_unwinder.h"

#include <execinfo.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <ucontext.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "daemon/unwind/test_elf.h"
#include "daemon/unwind/test_files.h"

namespace pprofd {
namespace {

constexpr std::array<int, PPROFD_REGISTERS> kDwarfOrder{
    REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
    REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
    REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};

// This process as the unwinder sees one: mappings and modules.
class OwnProcess {
 public:
  OwnProcess() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) AddLine(line);
  }

  std::optional<Mapping> Find(VirtualAddr address) const {
    for (const Mapping& mapping : mappings_) {
      if (mapping.start <= address && address < mapping.limit) return mapping;
    }
    return std::nullopt;
  }
  ModuleRef Module(ModuleId id) const {
    auto found = modules_.find(id);
    return found == modules_.end() ? nullptr : found->second;
  }
  // The frame's address here.
  uint64_t AddressOf(Frame frame) const {
    if (frame.kind() == FrameKind::kAddress) return frame.address().value;
    for (const Mapping& mapping : mappings_) {
      uint64_t into = frame.offset().value - mapping.offset.value;
      if (mapping.module == frame.module() &&
          frame.offset() >= mapping.offset &&
          into < mapping.limit.value - mapping.start.value) {
        return mapping.start.value + into;
      }
    }
    return 0;
  }

 private:
  void AddLine(const std::string& line) {
    std::istringstream fields(line);
    std::string range, rights, offset, device, inode, path;
    fields >> range >> rights >> offset >> device >> inode >> path;
    if (rights.size() < 3 || rights[2] != 'x') return;
    Mapping mapping;
    size_t dash = range.find('-');
    mapping.start.value = std::stoull(range.substr(0, dash), nullptr, 16);
    mapping.limit.value = std::stoull(range.substr(dash + 1), nullptr, 16);
    mapping.offset.value = std::stoull(offset, nullptr, 16);
    if (path.starts_with("/")) mapping.module = AddModule(path);
    mappings_.push_back(mapping);
  }

  ModuleId AddModule(const std::string& path) {
    ModuleId& id = by_path_[path];
    if (id != ModuleId::kNone) return id;
    id = static_cast<ModuleId>(PPROFD_FIRST_MODULE + modules_.size());
    auto module = std::make_shared<pprofd::Module>();
    module->id = id;
    module->file = UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    modules_[id] = module;
    return id;
  }

  std::vector<Mapping> mappings_;
  std::map<std::string, ModuleId> by_path_;
  std::map<ModuleId, ModuleRef> modules_;
};

// A stack copied by its own thread, and what glibc says of it.
struct Capture {
  RawStack raw;
  std::vector<uint64_t> expected;  // without the capturing frame itself
};

uint64_t StackLimit() {
  pthread_attr_t attributes;
  pthread_getattr_np(pthread_self(), &attributes);
  void* start = nullptr;
  size_t bytes = 0;
  pthread_attr_getstack(&attributes, &start, &bytes);
  pthread_attr_destroy(&attributes);
  return reinterpret_cast<uint64_t>(start) + bytes;
}

// Reads other functions' frames, which a sanitizer would take for an overflow.
[[gnu::noinline, gnu::no_sanitize("address")]] void CopyWords(
    const volatile uint64_t* from, uint64_t* to, size_t count) {
  for (size_t i = 0; i < count; ++i) to[i] = from[i];
}

void Fill(const ucontext_t& context, Capture* capture) {
  for (size_t i = 0; i < kDwarfOrder.size(); ++i) {
    capture->raw.registers[i] =
        static_cast<uint64_t>(context.uc_mcontext.gregs[kDwarfOrder[i]]);
  }
  uint64_t sp = capture->raw.registers[kRegisterRsp];
  size_t bytes = std::min<uint64_t>(StackLimit() - sp, 64 << 10);
  std::vector<uint64_t> words(bytes / sizeof(uint64_t));
  CopyWords(reinterpret_cast<const uint64_t*>(sp), words.data(), words.size());
  Put(capture->raw.bytes, words.data(), words.size() * sizeof(uint64_t));
}

[[gnu::noinline]] void CaptureHere(Capture* capture) {
  std::array<void*, 256> addresses;
  int count = backtrace(addresses.data(), static_cast<int>(addresses.size()));
  // A sanitizer may put a frame of its own below.
  int next = 0;
  while (next < count && addresses[next] != __builtin_return_address(0)) ++next;
  for (; next < count; ++next) {
    capture->expected.push_back(reinterpret_cast<uint64_t>(addresses[next]));
  }
  ucontext_t context;
  getcontext(&context);
  Fill(context, capture);
}

// Unwinds and compares all frames above the capturing one.
void ExpectSameAsGlibc(const Capture& capture) {
  OwnProcess process;
  StackUnwinder unwinder;
  UnwoundStack stack = unwinder.Unwind(
      capture.raw, [&](VirtualAddr address) { return process.Find(address); },
      [&](ModuleId id) { return process.Module(id); });
  EXPECT_EQ(stack.result, UnwindResult::kComplete)
      << ReasonText(stack.reason) << " after " << stack.frames.size();
  ASSERT_EQ(stack.frames.size(), capture.expected.size() + 1);
  for (size_t i = 0; i < capture.expected.size(); ++i) {
    EXPECT_EQ(process.AddressOf(stack.frames[i + 1]), capture.expected[i]) << i;
  }
}

Capture* g_capture = nullptr;

[[gnu::noinline]] int Recurse(int depth, Capture* capture) {
  if (depth == 0) {
    CaptureHere(capture);
    return 0;
  }
  return Recurse(depth - 1, capture) + 1;
}

TEST(StackUnwinder, AgreesWithGlibcOnRecursion) {
  Capture capture;
  Recurse(40, &capture);
  ExpectSameAsGlibc(capture);
}

TEST(StackUnwinder, AgreesWithGlibcThroughCallbacksOfTheLibrary) {
  Capture capture;
  g_capture = &capture;
  int values[] = {2, 1};
  qsort(values, 2, sizeof(int), [](const void*, const void*) {
    if (g_capture->expected.empty()) CaptureHere(g_capture);
    return 0;
  });
  ExpectSameAsGlibc(capture);
}

TEST(StackUnwinder, AgreesWithGlibcOnAnotherThread) {
  Capture capture;
  std::thread([&] { Recurse(5, &capture); }).join();
  ExpectSameAsGlibc(capture);
}

TEST(StackUnwinder, AgreesWithGlibcThroughASignalHandler) {
  Capture capture;
  g_capture = &capture;
  struct sigaction action = {};
  struct sigaction before;
  action.sa_handler = [](int) { CaptureHere(g_capture); };
  ASSERT_EQ(sigaction(SIGUSR2, &action, &before), 0);
  raise(SIGUSR2);
  sigaction(SIGUSR2, &before, nullptr);
  ExpectSameAsGlibc(capture);
}

TEST(StackUnwinder, ShortCopyIsTruncatedWithItsReason) {
  Capture capture;
  Recurse(40, &capture);
  capture.raw.bytes.resize(256);
  OwnProcess process;
  UnwoundStack stack = StackUnwinder().Unwind(
      capture.raw, [&](VirtualAddr address) { return process.Find(address); },
      [&](ModuleId id) { return process.Module(id); });
  EXPECT_EQ(stack.result, UnwindResult::kTruncated);
  EXPECT_EQ(stack.reason, uint32_t{PPROFD_REASON_RAW_STACK_SHORT});
  EXPECT_GE(stack.frames.size(), 1u);
}

// Code without a file: return addresses and saved rbp at 8-byte slots.
RawStack FramePointerChain(size_t frames, uint64_t root_rbp) {
  RawStack raw;
  raw.registers[kRegisterRsp] = 0x7000;
  raw.registers[kRegisterRbp] = 0x7000;
  raw.registers[kRegisterRip] = 0x1000;
  for (size_t i = 0; i < frames; ++i) {
    uint64_t rbp = i + 1 < frames ? 0x7000 + (i + 1) * 16 : root_rbp;
    PutU64(raw.bytes, rbp);
    PutU64(raw.bytes, 0x1000 + i + 1);
  }
  return raw;
}

UnwoundStack UnwindAnonymous(const RawStack& raw) {
  return StackUnwinder().Unwind(
      raw,
      [](VirtualAddr address) -> std::optional<Mapping> {
        if (address.value < 0x1000 || address.value >= 0x2000) {
          return std::nullopt;
        }
        return Mapping{{0x1000}, {0x2000}, {0}, ModuleId::kNone};
      },
      [](ModuleId) { return nullptr; });
}

TEST(StackUnwinder, FollowsFramePointersThroughCodeWithoutFile) {
  UnwoundStack stack = UnwindAnonymous(FramePointerChain(5, 0));
  EXPECT_EQ(stack.result, UnwindResult::kMixed);
  ASSERT_EQ(stack.frames.size(), 6u);
  EXPECT_FALSE(stack.frames[0].is_return_address());
  EXPECT_TRUE(stack.frames[5].is_return_address());
  EXPECT_EQ(stack.frames[5].address().value, 0x1005u);
}

TEST(StackUnwinder, FramePointerBelowTheStackEndsIt) {
  UnwoundStack stack = UnwindAnonymous(FramePointerChain(5, 0x6000));
  EXPECT_EQ(stack.result, UnwindResult::kTruncated);
  EXPECT_EQ(stack.reason, uint32_t{PPROFD_REASON_BAD_FRAME_POINTER});
}

TEST(StackUnwinder, AddressOutsideAllMappingsEndsIt) {
  RawStack raw = FramePointerChain(1, 0);
  raw.registers[kRegisterRip] = 0x9000;
  EXPECT_EQ(UnwindAnonymous(raw).reason, uint32_t{PPROFD_REASON_NO_MAPPING});
}

TEST(StackUnwinder, DeepStackStopsAtTheFrameLimit) {
  UnwoundStack stack = UnwindAnonymous(FramePointerChain(900, 0));
  EXPECT_EQ(stack.frames.size(), size_t{PPROFD_MAX_USER_FRAMES});
  EXPECT_EQ(stack.reason, uint32_t{PPROFD_REASON_FRAME_LIMIT});
}

}  // namespace
}  // namespace pprofd
