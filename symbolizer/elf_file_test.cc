#include "symbolizer/elf_file.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cstring>
#include <string>
#include <vector>

namespace pprofd {
namespace {

template <typename T>
void Put(std::vector<uint8_t>& bytes, size_t offset, const T& value) {
  if (bytes.size() < offset + sizeof(T)) bytes.resize(offset + sizeof(T));
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

// A file with one PT_LOAD at 0x1000 → 0x401000 and one PT_NOTE.
std::vector<uint8_t> MinimalElf() {
  std::vector<uint8_t> bytes(0x2000);
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 2;
  Put(bytes, 0, header);
  Elf64_Phdr load = {};
  load.p_type = PT_LOAD;
  load.p_flags = PF_R | PF_X;
  load.p_offset = 0x1000;
  load.p_vaddr = 0x401000;
  load.p_filesz = 0x800;
  load.p_memsz = 0x900;
  Put(bytes, header.e_phoff, load);
  Elf64_Phdr note = {};
  note.p_type = PT_NOTE;
  note.p_offset = 0x200;
  note.p_filesz = 12 + 4 + 4;
  Put(bytes, header.e_phoff + sizeof(load), note);
  Put(bytes, 0x200, Elf64_Nhdr{4, 4, NT_GNU_BUILD_ID});
  std::memcpy(bytes.data() + 0x20c, "GNU\0\xde\xad\xbe\xef", 8);
  return bytes;
}

TEST(ElfFile, ConvertsBetweenOffsetsAndAddresses) {
  std::vector<uint8_t> bytes = MinimalElf();
  auto file = ElfFile::Parse(bytes);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->ToModuleAddr({0x1010}), ModuleAddr{0x401010});
  EXPECT_EQ(file->ToModuleAddr({0x1800}), std::nullopt);
  EXPECT_EQ(file->ToFileOffset({0x401010}), FileOffset{0x1010});
  EXPECT_EQ(file->ToFileOffset({0x401850}), std::nullopt);
  ASSERT_EQ(file->load_segments().size(), 1u);
  EXPECT_TRUE(file->load_segments()[0].is_executable);
}

TEST(ElfFile, FindsTheBuildIdInSegments) {
  std::vector<uint8_t> bytes = MinimalElf();
  EXPECT_EQ(ElfFile::Parse(bytes)->build_id().Hex(), "deadbeef");
}

TEST(ElfFile, RefusesWhatItCannotRead) {
  EXPECT_EQ(ElfFile::Parse({}).status().code(), StatusCode::kUnsupported);
  std::vector<uint8_t> bytes = MinimalElf();
  bytes[EI_CLASS] = ELFCLASS32;
  EXPECT_EQ(ElfFile::Parse(bytes).status().code(), StatusCode::kUnsupported);
  bytes = MinimalElf();
  bytes.resize(80);
  EXPECT_EQ(ElfFile::Parse(bytes).status().code(), StatusCode::kCorrupt);
}

TEST(ElfFile, SurvivesHeadersThatPointAnywhere) {
  for (size_t i = 0; i < sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr); ++i) {
    for (int value : {0x00, 0x7f, 0x80, 0xff}) {
      std::vector<uint8_t> bytes = MinimalElf();
      bytes[i] = static_cast<uint8_t>(value);
      auto file = ElfFile::Parse(bytes);
      if (file.ok()) file->build_id();
    }
  }
}

std::vector<uint8_t> Compress(uint32_t type, const std::string& text,
                              uint64_t claimed) {
  std::vector<uint8_t> body(text.size() + 1000);
  if (type == ELFCOMPRESS_ZLIB) {
    uLongf size = body.size();
    compress(body.data(), &size, reinterpret_cast<const Bytef*>(text.data()),
             text.size());
    body.resize(size);
  } else {
    body.resize(
        ZSTD_compress(body.data(), body.size(), text.data(), text.size(), 1));
  }
  std::vector<uint8_t> bytes;
  Elf64_Chdr header = {};
  header.ch_type = type;
  header.ch_size = claimed;
  Put(bytes, 0, header);
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

// Reads `content` as a compressed section of a file.
Result<std::string> ReadCompressed(const std::vector<uint8_t>& content,
                                   uint64_t max_bytes) {
  std::vector<uint8_t> bytes = MinimalElf();
  size_t offset = bytes.size();
  bytes.insert(bytes.end(), content.begin(), content.end());
  auto file = ElfFile::Parse(bytes);
  ElfSection section{.name = ".debug_str",
                     .type = SHT_PROGBITS,
                     .flags = SHF_COMPRESSED,
                     .address = {},
                     .offset = {offset},
                     .size = content.size()};
  std::vector<uint8_t> storage;
  auto result = file->ReadSection(section, storage, max_bytes);
  if (!result.ok()) return result.status();
  return std::string(result->begin(), result->end());
}

TEST(ElfFile, DecompressesSections) {
  std::string text(3'000'000, 'x');
  for (uint32_t type : {1u, 2u}) {
    auto result =
        ReadCompressed(Compress(type, text, text.size()), text.size());
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    EXPECT_EQ(*result, text);
  }
}

TEST(ElfFile, RefusesFalseSizesOfCompressedSections) {
  std::string text(5000, 'x');
  for (uint32_t type : {1u, 2u}) {
    for (uint64_t claimed : {0u, 4999u, 5001u}) {
      EXPECT_EQ(ReadCompressed(Compress(type, text, claimed), 1 << 20)
                    .status()
                    .code(),
                StatusCode::kCorrupt);
    }
    EXPECT_EQ(
        ReadCompressed(Compress(type, text, text.size()), 100).status().code(),
        StatusCode::kExhausted);
  }
}

TEST(MapFile, ReadsZerosWhereTheFileWasCut) {
  UniqueFd fd(memfd_create("cut", MFD_CLOEXEC));
  std::string text(3 * getpagesize(), 'x');
  ASSERT_EQ(write(fd.get(), text.data(), text.size()),
            static_cast<ssize_t>(text.size()));
  auto map = MapFile(fd.get());
  ASSERT_TRUE(map.ok());
  ASSERT_EQ(ftruncate(fd.get(), getpagesize()), 0);
  EXPECT_EQ(Bytes(*map)[0], 'x');
  EXPECT_EQ(Bytes(*map)[2 * getpagesize()], 0);
}

TEST(MapFile, RefusesWhatIsNoFile) {
  UniqueFd null_fd(open("/dev/null", O_RDONLY));
  EXPECT_EQ(MapFile(null_fd.get()).status().code(), StatusCode::kInvalid);
  UniqueFd empty(memfd_create("empty", MFD_CLOEXEC));
  EXPECT_EQ(MapFile(empty.get()).status().code(), StatusCode::kCorrupt);
}

}  // namespace
}  // namespace pprofd
