// Fuzz target: unwinding a copied stack by a file's call frame information.
//
// The first part is registers and stack, the second the file, which is mapped
// from 64 KiB on. Stacks end, and stay within their bound.

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "daemon/unwind/stack_unwinder.h"
#include "tests/fuzz/fuzz_input.h"

namespace pprofd {
namespace {

constexpr uint64_t kStart = 0x10000;
constexpr uint64_t kSize = 0x20000;
constexpr auto kModule = static_cast<ModuleId>(PPROFD_FIRST_MODULE);

RawStack ReadStack(std::span<const uint8_t> bytes) {
  RawStack raw;
  size_t size = std::min(bytes.size(), sizeof(raw.registers));
  std::memcpy(raw.registers.data(), bytes.data(), size);
  raw.bytes.assign(bytes.begin() + static_cast<ptrdiff_t>(size), bytes.end());
  return raw;
}

std::optional<Mapping> FindMapping(VirtualAddr address) {
  if (address.value < kStart || address.value - kStart >= kSize) return {};
  Mapping mapping;
  mapping.start = {kStart};
  mapping.limit = {kStart + kSize};
  mapping.module = kModule;
  return mapping;
}

}  // namespace
}  // namespace pprofd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  TwoParts parts = SplitInput({data, size});
  RawStack raw;
  if (!parts.first.empty()) raw = ReadStack(parts.first);
  auto module = std::make_shared<Module>();
  module->id = kModule;
  module->file = MemoryFile(parts.second);
  StackUnwinder unwinder;
  for (int i = 0; i < 2; ++i) {
    UnwoundStack stack = unwinder.Unwind(
        raw, FindMapping, [&](ModuleId) -> ModuleRef { return module; });
    if (stack.frames.size() > PPROFD_MAX_USER_FRAMES) abort();
    // The same again, with another leaf.
    raw.registers[16] = kStart + raw.registers[0] % kSize;
  }
  return 0;
}
