#include "daemon/unwind/table_identity.h"

#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <memory>
#include <random>
#include <string_view>

#include "symbolizer/elf_file.h"

namespace pprofd {
namespace {

constexpr std::string_view kTableSections[] = {".eh_frame", ".debug_frame",
                                               ".zdebug_frame", ".gopclntab"};

uint64_t Seed() {
  static const uint64_t seed = [] {
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
      random = std::random_device()();
    }
    return random;
  }();
  return seed;
}

// XXH3 over parts, each told apart by its length.
class Hash {
 public:
  Hash() : state_(XXH3_createState(), XXH3_freeState) {
    XXH3_128bits_reset_withSeed(state_.get(), Seed());
  }
  void Add(std::span<const uint8_t> bytes) {
    Add(bytes.size());
    XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
  }
  void Add(uint64_t number) {
    XXH3_128bits_update(state_.get(), &number, sizeof(number));
  }
  std::string Finish() const {
    XXH128_canonical_t digest;
    XXH128_canonicalFromHash(&digest, XXH3_128bits_digest(state_.get()));
    return std::string(reinterpret_cast<const char*>(digest.digest),
                       sizeof(digest.digest));
  }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
};

}  // namespace

BuildId TableIdentity(std::span<const uint8_t> file_bytes) {
  Result<ElfFile> elf = ElfFile::Parse(file_bytes);
  if (!elf.ok() || elf->sections().empty()) return BuildId();
  BuildId build_id = elf->build_id();
  if (build_id.empty()) return BuildId();
  Hash hash;
  hash.Add(file_bytes.size());
  hash.Add(elf->entry().value);
  for (const ElfSegment& segment : elf->segments()) {
    hash.Add(segment.type);
    hash.Add(segment.flags);
    hash.Add(segment.offset.value);
    hash.Add(segment.address.value);
    hash.Add(segment.file_size);
  }
  for (std::string_view name : kTableSections) {
    const ElfSection* section = elf->FindSection(name);
    if (section == nullptr || section->offset.value > file_bytes.size() ||
        section->size > file_bytes.size() - section->offset.value) {
      continue;
    }
    hash.Add(section->address.value);
    hash.Add(file_bytes.subspan(section->offset.value, section->size));
  }
  return BuildId(build_id.bytes() + hash.Finish());
}

}  // namespace pprofd
