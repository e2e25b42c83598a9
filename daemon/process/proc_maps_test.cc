#include "daemon/process/proc_maps.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "daemon/base/unique_handle.h"

namespace pprofd {
namespace {

constexpr char kText[] =
    "55e0c0000000-55e0c0002000 r--p 00000000 fe:00 247766    /usr/bin/sleep\n"
    "55e0c0002000-55e0c0006000 r-xp 00002000 fe:00 247766    /usr/bin/sleep\n"
    "55e0c1000000-55e0c1021000 rw-p 00000000 00:00 0         [heap]\n"
    "7f0000000000-7f0000010000 rwxp 00000000 00:00 0 \n"
    "7f0000020000-7f0000030000 r-xp 00001000 103:7 12  /opt/a b/lib x.so\n"
    "7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0         [vdso]\n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n";

std::string ExecutableLines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    char line[96];
    snprintf(line, sizeof(line), "%x-%x r-xp 00000000 00:00 0 \n",
             0x10000 + i * 0x2000, 0x11000 + i * 0x2000);
    text += line;
  }
  return text;
}

TEST(ProcMaps, KeepsExecutableMappingsOfEveryKind) {
  ProcMaps maps = ParseProcMaps(kText);
  ASSERT_EQ(maps.mappings.size(), 5u);
  EXPECT_EQ(maps.line_count, 7u);
  EXPECT_EQ(maps.malformed_count, 0u);
  EXPECT_FALSE(maps.is_cut);

  const ProcMapping& sleep = maps.mappings[0];
  EXPECT_EQ(sleep.start, VirtualAddr{0x55e0c0002000});
  EXPECT_EQ(sleep.limit, VirtualAddr{0x55e0c0006000});
  EXPECT_EQ(sleep.offset, FileOffset{0x2000});
  EXPECT_EQ(sleep.device_major, 0xfeu);
  EXPECT_EQ(sleep.inode, 247766u);
  EXPECT_EQ(sleep.path, "/usr/bin/sleep");
  EXPECT_TRUE(sleep.is_file());

  EXPECT_EQ(maps.mappings[1].path, "");
  EXPECT_FALSE(maps.mappings[1].is_file());
  EXPECT_EQ(maps.mappings[2].path, "/opt/a b/lib x.so");
  EXPECT_EQ(maps.mappings[2].device_major, 0x103u);
  EXPECT_TRUE(maps.mappings[3].is_vdso());
  EXPECT_EQ(maps.mappings[4].path, "[vsyscall]");
  EXPECT_EQ(maps.mappings[4].start, VirtualAddr{0xffffffffff600000});
}

TEST(ProcMaps, KeepsDeletedFileWithoutSuffix) {
  ProcMaps maps = ParseProcMaps(
      "1000-2000 r-xp 00000000 fe:00 7 /tmp/a (deleted)\n"
      "3000-4000 r-xp 00000000 00:01 9 /memfd:jit x (deleted)\n"
      "5000-6000 r-xp 00000000 fe:00 8 /tmp/b\n");
  ASSERT_EQ(maps.mappings.size(), 3u);
  EXPECT_EQ(maps.mappings[0].path, "/tmp/a");
  EXPECT_TRUE(maps.mappings[0].is_deleted);
  EXPECT_EQ(maps.mappings[1].path, "/memfd:jit x");
  EXPECT_TRUE(maps.mappings[1].is_deleted);
  EXPECT_FALSE(maps.mappings[2].is_deleted);
}

TEST(ProcMaps, UnescapesNewlinesAndNothingElse) {
  ProcMaps maps = ParseProcMaps(
      "1000-2000 r-xp 00000000 fe:00 7     /tmp/a\\012b\\040c\\012\n");
  ASSERT_EQ(maps.mappings.size(), 1u);
  EXPECT_EQ(maps.mappings[0].path, "/tmp/a\nb\\040c\n");
}

TEST(ProcMaps, SkipsLinesThatMakeNoSense) {
  ProcMaps maps = ParseProcMaps(
      "\n"
      "nonsense\n"
      "2000-1000 r-xp 00000000 fe:00 7 /backwards\n"
      "1000-11112222333344445555 r-xp 00000000 fe:00 7 /too/wide\n"
      "1000-2000 r-xp\n"
      "1000-2000 r-xp 00000000 fe:00 7 /good\n"
      "3000-4000 r-xp 00000000 fe:00 7 /no/newline");
  ASSERT_EQ(maps.mappings.size(), 2u);
  EXPECT_EQ(maps.mappings[1].path, "/no/newline");
  EXPECT_EQ(maps.malformed_count, 5u);
}

TEST(ProcMaps, TakesTheTextInPiecesOfAnySize) {
  const std::string_view text = kText;
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    ProcMapsParser parser;
    for (size_t at = 0; at < text.size(); at += piece) {
      parser.Feed(text.substr(at, piece));
    }
    ProcMaps maps = parser.Finish();
    ASSERT_EQ(maps.mappings.size(), 5u) << "pieces of " << piece;
    EXPECT_EQ(maps.mappings[2].path, "/opt/a b/lib x.so");
    EXPECT_EQ(maps.malformed_count, 0u);
  }
}

TEST(ProcMaps, SaysThatItWasCut) {
  ProcMaps maps = ParseProcMaps(ExecutableLines(kMaxProcMappings + 1));
  EXPECT_EQ(maps.mappings.size(), kMaxProcMappings);
  EXPECT_TRUE(maps.is_cut);
  EXPECT_FALSE(ParseProcMaps(ExecutableLines(kMaxProcMappings)).is_cut);
}

TEST(ProcMaps, BoundsTheBytesOfAllPaths) {
  const std::string path = "/" + std::string(4000, 'a');
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    text += "1000-2000 r-xp 00000000 fe:00 7 " + path + "\n";
  }
  ProcMaps maps = ParseProcMaps(text);
  EXPECT_TRUE(maps.is_cut);
  EXPECT_EQ(maps.mappings.size(), ProcMapsParser::kMaxPathBytes / path.size());
}

TEST(ProcMaps, SkipsALineThatDoesNotEnd) {
  ProcMapsParser parser;
  parser.Feed("1000-2000 r-xp 00000000 fe:00 7 /");
  for (int i = 0; i < 100; ++i) parser.Feed(std::string(1000, 'a'));
  parser.Feed("\n3000-4000 r-xp 00000000 fe:00 7 /next\n");
  ProcMaps maps = parser.Finish();
  ASSERT_EQ(maps.mappings.size(), 1u);
  EXPECT_EQ(maps.mappings[0].path, "/next");
  EXPECT_EQ(maps.malformed_count, 1u);
}

TEST(ProcMaps, PassesAHundredThousandLinesOfData) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) {
    text += "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n";
  }
  text += "8f0000000000-8f0000001000 r-xp 00000000 fe:00 7 /last\n";
  ProcMaps maps = ParseProcMaps(text);
  EXPECT_EQ(maps.line_count, 100'001u);
  ASSERT_EQ(maps.mappings.size(), 1u);
  EXPECT_EQ(maps.mappings[0].path, "/last");
}

TEST(ProcMaps, FindsTheMappingOfAnAddress) {
  ProcMaps maps = ParseProcMaps(kText);
  EXPECT_EQ(maps.Find({0x55e0c0001fff}), nullptr);
  ASSERT_NE(maps.Find({0x55e0c0002000}), nullptr);
  EXPECT_EQ(maps.Find({0x55e0c0005fff})->path, "/usr/bin/sleep");
  EXPECT_EQ(maps.Find({0x55e0c0006000}), nullptr);
}

TEST(ProcMaps, ReadsOurOwnMapsThroughADescriptor) {
  UniqueFd fd(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(fd);
  Result<ProcMaps> maps = ReadProcMaps(fd.get());
  ASSERT_TRUE(maps.ok()) << maps.status().ToString();
  EXPECT_EQ(maps->malformed_count, 0u);
  const ProcMapping* ours =
      maps->Find({reinterpret_cast<uint64_t>(&ParseProcMaps)});
  ASSERT_NE(ours, nullptr);
  EXPECT_EQ(ours->path, std::filesystem::read_symlink("/proc/self/exe"));
}

TEST(ProcMaps, ReportsADescriptorThatCannotBeRead) {
  UniqueFd fd(open("/", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(ReadProcMaps(fd.get()).ok());
}

}  // namespace
}  // namespace pprofd
