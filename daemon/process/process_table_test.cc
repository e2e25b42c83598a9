#include "daemon/process/process_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "daemon/base/telemetry.h"
#include "daemon/process/allocation_counter.h"
#include "daemon/process/live_child.h"
#include "daemon/process/temp_proc.h"

namespace pprofd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr ProcessKey kKey{42, 1000};
constexpr int64_t kHorizonNs = 1000;

Comm MakeComm(const std::string& text) {
  Comm comm{};
  text.copy(comm.data(), comm.size());
  return comm;
}

Mapping At(uint64_t start, uint64_t limit, uint64_t offset, uint32_t module) {
  return {{start}, {limit}, {offset}, ModuleId{module}};
}

Sample SampleOf(const ProcessKey& key, int64_t time_ns = 10,
                std::vector<Mapping> mappings = {}) {
  Sample sample;
  sample.time = {time_ns};
  sample.process = key;
  sample.tid = key.pid;
  sample.comm = MakeComm("prog");
  sample.mappings = std::move(mappings);
  return sample;
}

ExecEvent ExecOf(const ProcessKey& key, const std::string& filename,
                 int64_t time_ns = 5) {
  return {{time_ns}, key, MakeComm("prog"), filename};
}

ExitEvent ExitOf(const ProcessKey& key, int64_t time_ns = 20) {
  return {{time_ns}, key, MakeComm("prog"), 30'000'000};
}

Module ModuleOf(uint32_t id, const std::string& path, uint64_t inode) {
  Module module;
  module.id = ModuleId{id};
  module.path = path;
  module.key.inode = inode;
  module.key.device = 0xfe << 20;
  return module;
}

class ProcessTableTest : public testing::Test {
 protected:
  ProcessTable::Options FakeProc() {
    ProcessTable::Options options;
    options.proc_root = proc_.root();
    return options;
  }

  TempProc proc_;
  ModuleTable modules_{ModuleTable::Options()};
  ProcessTable table_{FakeProc(), &modules_};
};

TEST_F(ProcessTableTest, KnowsWhatSamplesTell) {
  table_.OnSample(SampleOf(kKey, 10, {At(0x1000, 0x2000, 0, 2)}));
  auto info = table_.Find(kKey);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->key, kKey);
  EXPECT_EQ(info->comm, "prog");
  EXPECT_EQ(info->first_seen, BootTime{10});
  EXPECT_EQ(info->root, proc_.Path("42/root"));
  EXPECT_THAT(info->mappings, ElementsAre(At(0x1000, 0x2000, 0, 2)));
  EXPECT_EQ(table_.FindMapping(kKey, {0x1800})->module, ModuleId{2});
  EXPECT_FALSE(table_.FindMapping(kKey, {0x2000}));
}

TEST_F(ProcessTableTest, AllocatesNothingForAKnownProcess) {
  Sample sample =
      SampleOf(kKey, 10, {At(0x1000, 0x2000, 0, 2), At(0x3000, 0x4000, 0, 3)});
  table_.OnSample(sample);
  sample.time.ns += 1;
  const size_t before = AllocationCount();
  table_.OnSample(sample);
  EXPECT_EQ(AllocationCount(), before);
}

TEST_F(ProcessTableTest, IgnoresTheIdleTask) {
  EXPECT_FALSE(table_.OnSample(SampleOf({0, 0})));
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(ProcessTableTest, AsksForProcOncePerProcess) {
  proc_.AddProcess(kKey, "prog", "/bin/prog");
  EXPECT_TRUE(table_.OnSample(SampleOf(kKey)));
  EXPECT_FALSE(table_.OnSample(SampleOf(kKey)));
  EXPECT_THAT(table_.TakePending(), ElementsAre(kKey));
  EXPECT_TRUE(table_.Refresh(kKey, {11}).ok());
  EXPECT_FALSE(table_.OnSample(SampleOf(kKey)));
  EXPECT_THAT(table_.TakePending(), IsEmpty());
}

TEST_F(ProcessTableTest, ReadsWhatOnlyProcKnows) {
  modules_.Add(ModuleOf(5, "/lib/known.so", 77));
  proc_.AddProcess(kKey, "main name", "/bin/prog",
                   "1000-2000 r-xp 00000000 fe:00 7 /bin/prog\n"
                   "3000-4000 r-xp 00002000 fe:00 8 /lib/sampled.so\n"
                   "5000-6000 r-xp 00000000 fe:00 77 /lib/known.so\n"
                   "7000-8000 rwxp 00000000 00:00 0 \n"
                   "9000-a000 r-xp 00000000 00:00 0 [vdso]\n");
  table_.OnSample(SampleOf(kKey, 10, {At(0x3000, 0x4000, 0x2000, 4)}));
  ASSERT_TRUE(table_.Refresh(kKey, {11}).ok());
  auto info = table_.Find(kKey);
  EXPECT_EQ(info->comm, "main name");
  EXPECT_EQ(info->exe, "/bin/prog");
  EXPECT_EQ(info->cmdline, std::string("/bin/prog\0-x", 12));
  EXPECT_FALSE(info->is_kernel_thread);
  EXPECT_THAT(
      info->mappings,
      ElementsAre(At(0x1000, 0x2000, 0, 0), At(0x3000, 0x4000, 0x2000, 4),
                  At(0x5000, 0x6000, 0, 5), At(0x7000, 0x8000, 0, 0),
                  At(0x9000, 0xa000, 0, 1)));
  EXPECT_EQ(info->exe_mapping, At(0x1000, 0x2000, 0, 0));
  EXPECT_EQ(info->exe_module, ModuleId::kNone);

  table_.OnSample(SampleOf(kKey, 12, {At(0x1000, 0x2000, 0, 6)}));
  info = table_.Find(kKey);
  EXPECT_EQ(info->exe_mapping, At(0x1000, 0x2000, 0, 6));
  EXPECT_EQ(info->exe_module, ModuleId{6});
}

TEST_F(ProcessTableTest, GivesJitMemoryNoModuleOfTheFileItReplaced) {
  proc_.AddProcess(kKey, "prog", "/bin/prog",
                   "3000-4000 rwxp 00000000 00:00 0 \n");
  table_.OnSample(SampleOf(kKey, 10, {At(0x3000, 0x4000, 0, 4)}));
  ASSERT_TRUE(table_.Refresh(kKey, {11}).ok());
  EXPECT_EQ(table_.FindMapping(kKey, {0x3000})->module, ModuleId::kNone);
}

TEST_F(ProcessTableTest, KnowsKernelThreadsAndTheirLongNames) {
  proc_.Write("42/stat", StatText(kKey, "kworker/u8:3", 0x00200000, 2));
  proc_.Write("42/comm", "kworker/u8:3-events_unbound\n");
  table_.OnSample(SampleOf(kKey));
  ASSERT_TRUE(table_.Refresh(kKey, {11}).ok());
  table_.OnSample(SampleOf(kKey));
  auto info = table_.Find(kKey);
  EXPECT_TRUE(info->is_kernel_thread);
  EXPECT_EQ(info->comm, "kworker/u8:3-events_unbound");
  EXPECT_EQ(info->exe, "");
}

TEST_F(ProcessTableTest, TakesTheNameOfTheMainThreadOnly) {
  Sample sample = SampleOf(kKey);
  table_.OnSample(sample);
  sample.tid = 43;
  sample.comm = MakeComm("worker");
  table_.OnSample(sample);
  EXPECT_EQ(table_.Find(kKey)->comm, "prog");
  sample.tid = 42;
  sample.comm = MakeComm("renamed");
  table_.OnSample(sample);
  EXPECT_EQ(table_.Find(kKey)->comm, "renamed");
}

TEST_F(ProcessTableTest, KeepsWhatEventsToldOfAProcessThatLeftTooSoon) {
  modules_.Add(ModuleOf(6, "/bin/short", 9));
  table_.OnExec(ExecOf(kKey, "/bin/short"));
  table_.OnSample(SampleOf(kKey, 10, {At(0x1000, 0x2000, 0, 6)}));
  table_.OnExit(ExitOf(kKey));
  EXPECT_EQ(table_.Refresh(kKey, {30}).code(), StatusCode::kGone);
  auto info = table_.Find(kKey);
  ASSERT_TRUE(info);
  EXPECT_TRUE(info->exited);
  EXPECT_EQ(info->comm, "prog");
  EXPECT_EQ(info->exe, "/bin/short");
  EXPECT_EQ(info->root, "");
  EXPECT_EQ(info->exit_cpu_time_ns, 30'000'000);
  EXPECT_EQ(info->exe_mapping, At(0x1000, 0x2000, 0, 6));
  EXPECT_EQ(info->exe_module, ModuleId{6});
}

TEST_F(ProcessTableTest, FindsTheProgramOfARelativePath) {
  modules_.Add(ModuleOf(5, "/lib/libc.so", 8));
  modules_.Add(ModuleOf(6, "/home/me/build/prog", 9));
  table_.OnExec(ExecOf(kKey, "./prog"));
  table_.OnSample(
      SampleOf(kKey, 10, {At(0x1000, 0x2000, 0, 5), At(0x5000, 0x6000, 0, 6)}));
  auto info = table_.Find(kKey);
  EXPECT_EQ(info->exe, "/home/me/build/prog");
  EXPECT_EQ(info->exe_module, ModuleId{6});
}

TEST_F(ProcessTableTest, StartsAnewAtExecButRemembersTheOldProgram) {
  proc_.AddProcess(kKey, "old", "/bin/old",
                   "1000-2000 r-xp 00000000 fe:00 7 /bin/old\n");
  table_.OnSample(SampleOf(kKey, 10, {At(0x1000, 0x2000, 0, 2)}));
  table_.TakePending();
  ASSERT_TRUE(table_.Refresh(kKey, {11}).ok());
  EXPECT_TRUE(table_.OnExec(ExecOf(kKey, "/bin/new", 12)));
  EXPECT_THAT(table_.TakePending(), ElementsAre(kKey));
  auto info = table_.Find(kKey);
  EXPECT_EQ(info->exe, "/bin/new");
  EXPECT_EQ(info->cmdline, "");
  EXPECT_EQ(info->exe_mapping, Mapping());
  EXPECT_THAT(info->mappings, ElementsAre(At(0x1000, 0x2000, 0, 2)));
  EXPECT_FALSE(table_.FindMapping(kKey, {0x1000}));

  proc_.AddProcess(kKey, "new", "/bin/new",
                   "1000-3000 r-xp 00000000 fe:00 9 /bin/new\n");
  ASSERT_TRUE(table_.Refresh(kKey, {13}).ok());
  info = table_.Find(kKey);
  EXPECT_EQ(info->exe_mapping, At(0x1000, 0x3000, 0, 0));
  EXPECT_THAT(info->mappings, SizeIs(2));
}

TEST_F(ProcessTableTest, DoesNotReadTheProcessThatGotThePid) {
  proc_.AddProcess({42, 2000}, "other", "/bin/other");
  table_.OnSample(SampleOf(kKey));
  EXPECT_EQ(table_.Refresh(kKey, {11}).code(), StatusCode::kGone);
  EXPECT_TRUE(table_.Find(kKey)->exited);
  EXPECT_EQ(table_.Find(kKey)->exe, "");
}

TEST_F(ProcessTableTest, TellsProcessesOfOnePidApart) {
  const ProcessKey next{42, 2000};
  table_.OnSample(SampleOf(kKey, 10));
  table_.OnSample(SampleOf(next, 20));
  EXPECT_TRUE(table_.Find(kKey)->exited);
  EXPECT_FALSE(table_.Find(next)->exited);
  EXPECT_EQ(table_.FindByPid(42)->key, next);
  table_.OnExit(ExitOf(next));
  EXPECT_EQ(table_.FindByPid(42)->key, next);
  EXPECT_FALSE(table_.FindByPid(43));

  table_.OnSample(SampleOf({42, 1500}, 21));  // a late one
  EXPECT_TRUE(table_.Find({42, 1500})->exited);
}

TEST_F(ProcessTableTest, ForgetsTheNeverSampledAtTheirExit) {
  EXPECT_FALSE(table_.OnExec(ExecOf(kKey, "/bin/true")));
  EXPECT_EQ(table_.size(), 1u);
  EXPECT_THAT(table_.List(), IsEmpty());
  table_.OnExit(ExitOf(kKey));
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(ProcessTableTest, ForgetsTheDeadAfterTheHorizon) {
  table_.OnSample(SampleOf(kKey, 10));
  table_.OnExit(ExitOf(kKey, 20));
  EXPECT_EQ(table_.Expire({20 + kHorizonNs - 1}, kHorizonNs), 0u);
  EXPECT_TRUE(table_.Find(kKey));
  EXPECT_EQ(table_.Expire({20 + kHorizonNs}, kHorizonNs), 1u);
  EXPECT_FALSE(table_.Find(kKey));
}

TEST_F(ProcessTableTest, NoticesAProcessWhoseExitEventWasLost) {
  proc_.AddProcess(kKey, "prog", "/bin/prog");
  table_.OnSample(SampleOf(kKey, 10));
  table_.TakePending();
  ASSERT_TRUE(table_.Refresh(kKey, {11}).ok());
  proc_.RemoveProcess(42);
  EXPECT_EQ(table_.Expire({11 + kHorizonNs}, kHorizonNs), 0u);
  ASSERT_THAT(table_.TakePending(), ElementsAre(kKey));
  EXPECT_EQ(table_.Refresh(kKey, {2000}).code(), StatusCode::kGone);
  EXPECT_TRUE(table_.Find(kKey)->exited);
  EXPECT_EQ(table_.Expire({2000 + kHorizonNs}, kHorizonNs), 1u);
}

TEST_F(ProcessTableTest, EvictsTheLongestDeadFirst) {
  ProcessTable::Options options = FakeProc();
  options.max_processes = 3;
  ProcessTable table(options, &modules_);
  uint64_t before = GlobalCounters().Get(Counter::processes_evicted);
  for (int pid : {1, 2, 3}) table.OnSample(SampleOf({pid, 1}, pid));
  table.OnExit(ExitOf({3, 1}, 10));
  table.OnExit(ExitOf({2, 1}, 11));
  table.OnSample(SampleOf({4, 1}, 12));
  EXPECT_FALSE(table.Find({3, 1}));
  table.OnSample(SampleOf({5, 1}, 13));
  EXPECT_FALSE(table.Find({2, 1}));
  table.OnSample(SampleOf({6, 1}, 14));
  EXPECT_FALSE(table.Find({1, 1}));  // alive, but not sampled for longest
  EXPECT_EQ(table.size(), 3u);
  EXPECT_EQ(GlobalCounters().Get(Counter::processes_evicted), before + 3);
}

TEST_F(ProcessTableTest, BoundsMappingsAndCommandLinesOfAll) {
  ProcessTable::Options options = FakeProc();
  options.max_mappings = 3;
  options.max_cmdline_bytes = 1000;
  ProcessTable table(options, &modules_);
  for (int pid : {1, 2}) {
    proc_.AddProcess({pid, 1}, "x", "/bin/x");
    proc_.Write(std::to_string(pid) + "/cmdline", std::string(900, 'a'));
    table.OnSample(SampleOf(
        {pid, 1}, 1, {At(0x1000, 0x2000, 0, 2), At(0x3000, 0x4000, 0, 3)}));
    ASSERT_TRUE(table.Refresh({pid, 1}, {2}).ok());
  }
  EXPECT_THAT(table.Find({2, 1})->mappings, SizeIs(1));
  EXPECT_EQ(table.Find({1, 1})->cmdline.size(), 900u);
  EXPECT_EQ(table.Find({2, 1})->cmdline.size(), 256u);
}

TEST_F(ProcessTableTest, NamesTheModulesInUse) {
  table_.OnSample(SampleOf(kKey, 1, {At(0x1000, 0x2000, 0, 2)}));
  table_.OnExec(ExecOf(kKey, "/bin/next"));
  table_.OnSample(SampleOf(kKey, 2, {At(0x1000, 0x2000, 0, 3)}));
  absl::flat_hash_set<ModuleId> modules;
  table_.CollectModules(&modules);
  EXPECT_TRUE(modules.contains(ModuleId{2}));
  EXPECT_TRUE(modules.contains(ModuleId{3}));
}

// ---- Live
// ---------------------------------------------------------------------

TEST(ProcessTableLive, ReadsOurOwnProcess) {
  ModuleTable modules{ModuleTable::Options()};
  ProcessTable table(ProcessTable::Options(), &modules);
  ProcessKey self = ProcessDir::Open(kProcRoot, getpid())->key();
  table.OnSample(SampleOf(self));
  ASSERT_TRUE(table.Refresh(self, {11}).ok());
  auto info = table.FindByPid(getpid());
  ASSERT_TRUE(info);
  EXPECT_EQ(info->exe, std::filesystem::read_symlink("/proc/self/exe"));
  auto code = reinterpret_cast<uint64_t>(&ParseProcMaps);
  EXPECT_LE(info->exe_mapping.start.value, code);
  EXPECT_GT(info->exe_mapping.limit.value, code);
}

TEST(ProcessTableLive, KeepsAChildAfterItsDeath) {
  ModuleTable modules{ModuleTable::Options()};
  ProcessTable table(ProcessTable::Options(), &modules);
  LiveChild child(kCat);
  ASSERT_GT(child.pid(), 0);
  ProcessKey key = ProcessDir::Open(kProcRoot, child.pid())->key();
  table.OnSample(SampleOf(key));
  ASSERT_TRUE(table.Refresh(key, {11}).ok());
  child.Kill();
  EXPECT_EQ(table.Refresh(key, {12}).code(), StatusCode::kGone);
  auto info = table.Find(key);
  ASSERT_TRUE(info);
  EXPECT_TRUE(info->exited);
  EXPECT_EQ(info->cmdline, std::string("cat\0-u", 6));
  EXPECT_NE(info->exe_mapping.limit.value, 0u);
}

}  // namespace
}  // namespace pprofd
