#include "daemon/process/memory_stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "daemon/process/temp_proc.h"

namespace pprofd {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;

constexpr uint64_t kKiB = 1024;
constexpr ProcessKey kKey{42, 1000};

auto Figure(const std::string& name, uint64_t value) {
  return testing::AllOf(Field(&MemoryFigure::name, name),
                        Field(&MemoryFigure::value, value));
}

// A mapping of `kib` KiB at `start`, with `resident` KiB and 4 KiB of swap.
std::string Smap(uint64_t start, uint64_t kib, const std::string& permissions,
                 const std::string& path, uint64_t resident) {
  char range[64];
  snprintf(range, sizeof(range), "%lx-%lx", start, start + kib * kKiB);
  return std::string(range) + " " + permissions + " 00000000 00:00 0       " +
         path + "\nSize:    4 kB\nRss:      " + std::to_string(resident) +
         " kB\nPss:    1 kB\nSwap:          4 kB\nSwapPss: 4 kB\n"
         "VmFlags: rd wr mr mw me ac\n";
}

TEST(ParseSmaps, CountsHeapStacksAndNothingElse) {
  std::string text = Smap(0x10000, 64, "r-xp", "/bin/x", 60) +
                     Smap(0x20000, 64, "rw-p", "/bin/x", 60) +
                     Smap(0x40000, 100, "rw-p", "[heap]", 10) +
                     Smap(0x80000, 32, "rw-p", "", 7) +
                     Smap(0x90000, 16, "rw-p", "[anon:glibc: malloc]", 3) +
                     Smap(0xa0000, 80, "rw-p", "", 20) +
                     Smap(0xc0000, 64, "---p", "", 0) +
                     Smap(0xd0000, 64, "rw-s", "", 9) +
                     Smap(0xe0000, 128, "rw-p", "[stack]", 50) +
                     Smap(0x110000, 8, "r-xp", "[vdso]", 8);
  SmapsSums sums = ParseSmaps(text, {0xa0010, 0x1, 0x20100, UINT64_MAX});
  EXPECT_EQ(sums.heap_sys, (100 + 32 + 16) * kKiB);
  EXPECT_EQ(sums.heap_inuse, (10 + 7 + 3 + 3 * 4) * kKiB);
  EXPECT_EQ(sums.stack_sys, (80 + 128) * kKiB);
  EXPECT_EQ(sums.stack_inuse, (20 + 50) * kKiB);
  EXPECT_EQ(sums.mapping_count, 10u);
  EXPECT_FALSE(sums.is_cut);
}

TEST(ParseSmaps, HoldsAStackToTheMappingThatCoversItsPointer) {
  std::string text = Smap(0x10000, 4, "rw-p", "", 4);
  EXPECT_EQ(ParseSmaps(text, {0x10000}).stack_sys, 4 * kKiB);
  EXPECT_EQ(ParseSmaps(text, {0x10fff}).stack_sys, 4 * kKiB);
  EXPECT_EQ(ParseSmaps(text, {0x11000}).stack_sys, 0u);
  EXPECT_EQ(ParseSmaps(text, {0xffff}).stack_sys, 0u);
  // brk memory stays heap, whoever runs on it.
  text = Smap(0x10000, 4, "rw-p", "[heap]", 4);
  EXPECT_EQ(ParseSmaps(text, {0x10000}).heap_sys, 4 * kKiB);
}

TEST(ParseSmaps, GivesFiguresBelowNonsenseToNoMapping) {
  std::string text = Smap(0x10000, 4, "rw-p", "[heap]", 4) +
                     "zzz rw-p 00000000 00:00 0\nRss: 1000 kB\n"
                     "20000-10000 rw-p 00000000 00:00 0\nRss: 1000 kB\n"
                     "20000-30000\nRss: 1000 kB\n\n \n:\nRss: 1 kB\n";
  SmapsSums sums = ParseSmaps(text, {});
  EXPECT_EQ(sums.heap_sys, 4 * kKiB);
  EXPECT_EQ(sums.heap_inuse, 8 * kKiB);
}

TEST(ParseSmaps, StopsAtTheLargestNumber) {
  std::string huge = "0-ffffffffffffffff rw-p 00000000 00:00 0 \n";
  SmapsSums sums = ParseSmaps(huge + "Rss: 18446744073709551615 kB\n" + huge +
                                  "Rss: 99999999999999999999999 kB\n"
                                  "Swap: -5 kB\nSwap:\nSwap: kB\n",
                              {});
  EXPECT_EQ(sums.heap_sys, UINT64_MAX);
  EXPECT_EQ(sums.heap_inuse, UINT64_MAX);
}

TEST(ParseSmaps, SkipsLinesTooLongToBeTrue) {
  std::string text = "10000-20000 rw-p 00000000 00:00 0 " +
                     std::string(kMaxMemoryLineBytes, 'x') + "\nRss: 4 kB\n" +
                     Smap(0x40000, 4, "rw-p", "", 4);
  SmapsSums sums = ParseSmaps(text, {});
  EXPECT_EQ(sums.heap_sys, 4 * kKiB);
  EXPECT_EQ(sums.mapping_count, 1u);
}

TEST(ParseSmaps, EndsAtItsBoundOfMappings) {
  std::string text;
  for (size_t i = 0; i <= kMaxSmapsMappings; ++i) {
    char line[64];
    snprintf(line, sizeof(line), "%zx-%zx rw-p 0 00:00 0\n", i << 12,
             (i + 1) << 12);
    text += line;
  }
  SmapsSums sums = ParseSmaps(text, {});
  EXPECT_TRUE(sums.is_cut);
  EXPECT_EQ(sums.mapping_count, kMaxSmapsMappings);
  EXPECT_EQ(sums.heap_sys, kMaxSmapsMappings * 4 * kKiB);
}

TEST(ParseSmaps, EndsAtItsBoundOfLines) {
  SmapsParser parser({});
  for (uint64_t i = 0; i < kMaxMemoryLines; ++i) parser.FeedLine("Rss: 1 kB");
  EXPECT_FALSE(parser.sums().is_cut);
  parser.FeedLine("Rss: 1 kB");
  EXPECT_TRUE(parser.sums().is_cut);
}

TEST(ParseFigures, TakesWhatIsThereInTheOrderAskedFor) {
  constexpr std::string_view kNames[] = {"VmRSS", "VmSwap", "Threads", "Pss"};
  EXPECT_THAT(ParseFigures("Name:\tVmSwap: 7 kB\nThreads:\t3\nVmRSS:\t  12 kB\n"
                           "VmRSSX: 9 kB\nPss 5\nVmSwap:\n",
                           kNames),
              ElementsAre(Figure("VmRSS", 12 * kKiB), Figure("Threads", 3)));
  EXPECT_THAT(ParseFigures("", kNames), ElementsAre());
  EXPECT_THAT(ParseFigures("VmRSS: 18446744073709551615 kB", kNames),
              ElementsAre(Figure("VmRSS", UINT64_MAX)));
}

TEST(ParseSyscallStackPointer, FindsItOfThreadsThatWait) {
  EXPECT_EQ(ParseSyscallStackPointer(
                "202 0x7f1 0x80 0x0 0x0 0x0 0x0 0x7ffc10 0x7f0a\n"),
            0x7ffc10u);
  EXPECT_EQ(ParseSyscallStackPointer("-1 0x7ffc10 0x7f0a\n"), 0x7ffc10u);
  for (const char* text : {"running\n", "", "\n", "-1", "0x1", "1 2 3",
                           "0xg 0x1", "0xfffffffffffffffffff 0x1", "0x 0x"}) {
    EXPECT_EQ(ParseSyscallStackPointer(text), 0u) << text;
  }
}

TEST(ParseStatField, CountsFromBehindTheName) {
  std::string text = "7 (a) 9 b) S 1 2 3\n";
  EXPECT_EQ(ParseStatField(text, 4), 1u);
  EXPECT_EQ(ParseStatField(text, 6), 3u);
  EXPECT_EQ(ParseStatField(text, 7), 0u);
  EXPECT_EQ(ParseStatField(text, 3), 0u);
  EXPECT_EQ(ParseStatField(text, 1), 0u);
  EXPECT_EQ(ParseStatField("7 no name", 4), 0u);
}

TEST(ExecutableLines, KeepsThemAsTheyAre) {
  EXPECT_EQ(ExecutableLines("1000-2000 r--p 00000000 fe:00 7   /bin/x\n"
                            "2000-3000 r-xp 00001000 fe:00 7   /bin/a b\n"
                            "3000-4000 rwxp 00000000 00:00 0 \n"
                            "x\n\n4000-5000 r-x\n"
                            "5000-6000 --xp 00000000 00:00 0 [vsyscall]"),
            "2000-3000 r-xp 00001000 fe:00 7   /bin/a b\n"
            "3000-4000 rwxp 00000000 00:00 0 \n"
            "5000-6000 --xp 00000000 00:00 0 [vsyscall]\n");
}

TEST(ExecutableLines, EndsAtItsBoundWithAWholeLine) {
  std::string line =
      "1000-2000 r-xp 0 00:00 0 /" + std::string(4000, 'x') + "\n";
  std::string text;
  while (text.size() <= kMaxMapTextBytes) text += line;
  std::string kept = ExecutableLines(text);
  EXPECT_LE(kept.size(), kMaxMapTextBytes);
  EXPECT_EQ(kept.size() % line.size(), 0u);
  EXPECT_GT(kept.size(), kMaxMapTextBytes - line.size());
}

TEST(Reconcile, MakesTheFiguresAddUp) {
  MemoryStats stats{.sys = 100,
                    .heap_sys = 90,
                    .heap_inuse = 80,
                    .stack_sys = 30,
                    .stack_inuse = 40,
                    .figures = {}};
  Reconcile(stats);
  EXPECT_EQ(stats.stack_sys, 30u);
  EXPECT_EQ(stats.stack_inuse, 30u);
  EXPECT_EQ(stats.heap_sys, 70u);
  EXPECT_EQ(stats.heap_inuse, 70u);
  EXPECT_EQ(stats.other_sys, 0u);
}

class ReadMemoryStatsTest : public testing::Test {
 protected:
  ReadMemoryStatsTest() {
    proc_.AddProcess(kKey, "x", "/bin/x", "1000-2000 r-xp 0 fe:00 7 /bin/x\n");
    proc_.Write("42/statm", "300 20 10 1 0 40 0\n");
    proc_.Write("42/status", "Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t 80 kB\n");
    proc_.Write("42/smaps", Smap(0x10000, 100, "rw-p", "[heap]", 10) +
                                Smap(0x40000, 64, "rw-p", "", 20) +
                                Smap(0x60000, 64, "rw-p", "", 30));
    proc_.Write("42/task/42/syscall", "running\n");
    proc_.Write("42/task/42/stat", StatText(kKey, "x"));
    proc_.Write("42/task/43/syscall", "-1 0x40100 0x1000\n");
  }
  Result<MemoryStats> Read() {
    auto process = ProcessDir::Open(proc_.root(), kKey);
    if (!process.ok()) return process.status();
    return ReadMemoryStats(*process);
  }

  TempProc proc_;
};

TEST_F(ReadMemoryStatsTest, TellsWhatGoTells) {
  auto stats = Read();
  ASSERT_TRUE(stats.ok()) << stats.status().ToString();
  EXPECT_EQ(stats->sys, 300 * static_cast<uint64_t>(getpagesize()));
  EXPECT_EQ(stats->heap_sys, 164 * kKiB);
  EXPECT_EQ(stats->heap_inuse, (10 + 30 + 8) * kKiB);
  EXPECT_EQ(stats->stack_sys, 64 * kKiB);
  EXPECT_EQ(stats->stack_inuse, 20 * kKiB);
  EXPECT_EQ(stats->sys, stats->heap_sys + stats->stack_sys + stats->other_sys);
  EXPECT_EQ(stats->max_rss, 99 * kKiB);
  EXPECT_THAT(stats->figures,
              ElementsAre(Figure("VmRSS", 80 * kKiB), Figure("minflt", 10),
                          Figure("majflt", 0)));
}

TEST_F(ReadMemoryStatsTest, AddsWhatTheRollupKnows) {
  proc_.Write("42/smaps_rollup",
              "10000-70000 ---p 00000000 00:00 0 [rollup]\nRss: 4 kB\n"
              "Pss:  3 kB\nPss_Anon: 2 kB\nAnonHugePages: 0 kB\n");
  auto stats = Read();
  ASSERT_TRUE(stats.ok());
  EXPECT_THAT(
      stats->figures,
      ElementsAre(Figure("VmRSS", 80 * kKiB), Figure("Pss", 3 * kKiB),
                  Figure("Pss_Anon", 2 * kKiB), Figure("AnonHugePages", 0),
                  Figure("minflt", 10), Figure("majflt", 0)));
}

TEST_F(ReadMemoryStatsTest, FailsWhenTheProcessIsGone) {
  auto process = ProcessDir::Open(proc_.root(), kKey);
  ASSERT_TRUE(process.ok());
  proc_.RemoveProcess(42);
  EXPECT_EQ(ReadMemoryStats(*process).status().code(), StatusCode::kGone);
  EXPECT_EQ(ReadExecutableMaps(*process).status().code(), StatusCode::kGone);
}

TEST(ReadMemoryStats, ReadsOurOwnProcess) {
  auto process = ProcessDir::Open(kProcRoot, getpid());
  ASSERT_TRUE(process.ok());
  auto stats = ReadMemoryStats(*process);
  ASSERT_TRUE(stats.ok()) << stats.status().ToString();
  EXPECT_EQ(stats->sys, stats->heap_sys + stats->stack_sys + stats->other_sys);
  EXPECT_GT(stats->heap_inuse, 0u);
  EXPECT_GT(stats->stack_inuse, 0u);
  EXPECT_GT(stats->max_rss, stats->stack_inuse);
  auto maps = ReadExecutableMaps(*process);
  ASSERT_TRUE(maps.ok());
  EXPECT_THAT(*maps, HasSubstr("[vdso]"));
}

}  // namespace
}  // namespace pprofd
