#include "daemon/unwind/table_identity.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <vector>

#include "symbolizer/elf_file.h"

namespace pprofd {
namespace {

std::vector<uint8_t> OwnFile() {
  UniqueFd fd(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  Result<MemoryMap> map = MapFile(fd.get());
  EXPECT_TRUE(map.ok());
  std::span<const uint8_t> bytes = Bytes(*map);
  return {bytes.begin(), bytes.end()};
}

TEST(TableIdentity, IsTheSameForCopiesOfAFile) {
  std::vector<uint8_t> file = OwnFile();
  std::vector<uint8_t> copy = file;
  EXPECT_FALSE(TableIdentity(file).empty());
  EXPECT_EQ(TableIdentity(file), TableIdentity(copy));
}

TEST(TableIdentity, DiffersWhenOnlyUnwindInformationDoes) {
  std::vector<uint8_t> file = OwnFile();
  BuildId before = TableIdentity(file);
  Result<ElfFile> elf = ElfFile::Parse(file);
  ASSERT_TRUE(elf.ok());
  const ElfSection* section = elf->FindSection(".eh_frame");
  ASSERT_NE(section, nullptr);
  file[section->offset.value + section->size / 2] ^= 1;
  EXPECT_NE(TableIdentity(file), before);
}

TEST(TableIdentity, IsEmptyForWhatIsNoElfFile) {
  std::vector<uint8_t> noise(4096, 0x5a);
  EXPECT_TRUE(TableIdentity(noise).empty());
  EXPECT_TRUE(TableIdentity({}).empty());
}

}  // namespace
}  // namespace pprofd
