// Fuzz target: compressed sections: zlib, zstd, xz and .zdebug_.
//
// The first byte says which. No more comes out than is allowed.

#include <cstdlib>
#include <cstring>

#include "daemon/unwind/test_elf.h"
#include "symbolizer/decompress.h"
#include "tests/fuzz/fuzz_input.h"

namespace pprofd {
namespace {

constexpr uint64_t kMaxBytes = 1 << 20;

void ReadZdebug(std::span<const uint8_t> bytes) {
  TestElf elf(TestBytes(16, 0x90));
  elf.AddSection(".zdebug_info", TestBytes(bytes.begin(), bytes.end()));
  TestBytes file_bytes = elf.Build();
  auto file = ElfFile::Parse(file_bytes);
  if (!file.ok()) abort();
  std::vector<uint8_t> storage;
  auto found =
      file->ReadSection(*file->FindSection(".zdebug_info"), storage, kMaxBytes);
  if (found.ok() && found->size() > kMaxBytes) abort();
}

}  // namespace
}  // namespace pprofd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pprofd;
  uint64_t claimed = 0;
  if (size <= 1 + sizeof(claimed)) return 0;
  std::memcpy(&claimed, data + 1, sizeof(claimed));
  std::span<const uint8_t> stream(data + 1 + sizeof(claimed),
                                  size - 1 - sizeof(claimed));
  std::vector<uint8_t> output;
  Status status;
  switch (data[0] % 4) {
    case 0:
      status = InflateZlib(stream, claimed, kMaxBytes, output);
      break;
    case 1:
      status = InflateZstd(stream, claimed, kMaxBytes, output);
      break;
    case 2:
      claimed = 0;
      status = InflateXz(stream, kMaxBytes, output);
      break;
    default:
      ReadZdebug({data + 1, size - 1});
      return 0;
  }
  if (!status.ok()) return 0;
  if (output.size() > kMaxBytes || (claimed != 0 && output.size() != claimed)) {
    abort();
  }
  return 0;
}
