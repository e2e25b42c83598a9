#include "daemon/process/proc_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "daemon/process/live_child.h"
#include "daemon/process/temp_proc.h"

namespace pprofd {
namespace {

using testing::Contains;
using testing::ElementsAre;

constexpr ProcessKey kKey{42, 123'456};

TEST(ProcessStat, ReadsTheFieldsBehindTheName) {
  auto stat = ParseProcessStat(StatText(kKey, "nginx", 0x400040, 7));
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->pid, 42);
  EXPECT_EQ(stat->comm, "nginx");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->parent_pid, 7);
  EXPECT_EQ(stat->flags, 0x400040u);
  EXPECT_EQ(stat->cpu_time_ns, 200 * kNsPerTick);
  EXPECT_EQ(stat->threads, 3u);
  EXPECT_EQ(stat->start_ticks, 123'456u);
  EXPECT_FALSE(stat->has_exited());
}

TEST(ProcessStat, IsNotFooledByParenthesesInTheName) {
  for (const char* comm : {"a) S 1 1 (b", ")", "((", "x ) R 9", ""}) {
    auto stat = ParseProcessStat(StatText(kKey, comm));
    ASSERT_TRUE(stat) << comm;
    EXPECT_EQ(stat->comm, comm);
    EXPECT_EQ(stat->start_ticks, 123'456u);
  }
}

TEST(ProcessStat, RefusesTextThatIsCutAnywhere) {
  const std::string text = StatText(kKey, "x");
  const size_t end_of_start = text.find("123456") + 5;
  for (size_t size = 0; size < end_of_start; ++size) {
    auto stat = ParseProcessStat(std::string_view(text).substr(0, size));
    EXPECT_TRUE(!stat || stat->start_ticks < 123'456) << size;
  }
  EXPECT_FALSE(ParseProcessStat("42 )x( S 1"));
  EXPECT_FALSE(ParseProcessStat("42 (x) S 1 1 1 0 -1 nonsense"));
}

TEST(ProcessStatus, ReadsThreadsUserAndInnermostPid) {
  ProcessStatus status = ParseProcessStatus(
      "Name:\tx\nUid:\t1000\t33\t0\t0\nNStgid:\t42\t7\t1\nThreads:\t12\n");
  EXPECT_EQ(status.threads, 12u);
  EXPECT_EQ(status.uid, 33u);
  EXPECT_EQ(status.namespace_pid, 1);
}

TEST(ProcessStatus, TellsWhoIsConfined) {
  EXPECT_FALSE(ParseProcessStatus("Threads:\t1\n").is_confined);
  EXPECT_FALSE(ParseProcessStatus("Seccomp:\t0\n").is_confined);
  EXPECT_TRUE(ParseProcessStatus("Seccomp:\t1\n").is_confined);
  EXPECT_TRUE(
      ParseProcessStatus("Seccomp:\t2\nSeccomp_filters:\t3\n").is_confined);
}

TEST(ProcessDir, ReadsEveryFileOfAProcess) {
  TempProc proc;
  proc.AddProcess(kKey, "my prog", "/usr/bin/prog (deleted)",
                  "1000-2000 r-xp 00000000 fe:00 7 /usr/bin/prog\n");
  proc.Write("42/status", "Threads:\t2\n");
  proc.Write("42/cgroup", "0::/system.slice/x.service\n");
  proc.Write("42/task/42/comm", "");
  proc.Write("42/task/51/comm", "");
  auto process = ProcessDir::Open(proc.root(), kKey);
  ASSERT_TRUE(process.ok()) << process.status().ToString();
  EXPECT_EQ(process->key(), kKey);
  EXPECT_EQ(process->ReadComm().value(), "my prog");
  EXPECT_EQ(process->ReadExe().value(), "/usr/bin/prog");
  EXPECT_EQ(process->ReadCmdline().value(),
            std::string("/usr/bin/prog (deleted)\0-x", 26));
  EXPECT_EQ(process->ReadCgroup().value(), "0::/system.slice/x.service\n");
  EXPECT_EQ(process->ReadStatus().value().threads, 2u);
  EXPECT_EQ(process->ReadMaps().value().mappings.size(), 1u);
  EXPECT_THAT(process->ListThreads().value(), ElementsAre(42, 51));
  EXPECT_FALSE(process->IsKernelThread());
}

TEST(ProcessDir, IsGoneWhenThePidIsUsedAgain) {
  TempProc proc;
  proc.AddProcess({42, 999}, "other", "/bin/other");
  EXPECT_EQ(ProcessDir::Open(proc.root(), kKey).status().code(),
            StatusCode::kGone);
  EXPECT_TRUE(ProcessDir::Open(proc.root(), 42).ok());
}

TEST(ProcessDir, IsGoneWhenThereIsNone) {
  TempProc proc;
  EXPECT_EQ(ProcessDir::Open(proc.root(), kKey).status().code(),
            StatusCode::kGone);
}

TEST(ProcessDir, RefusesNumbersThatAreNoPid) {
  for (int pid : {0, -1, 4'194'305}) {
    EXPECT_EQ(ProcessDir::Open(kProcRoot, pid).status().code(),
              StatusCode::kInvalid);
  }
}

TEST(ProcessDir, ReportsStatWithoutFields) {
  TempProc proc;
  proc.Write("42/stat", "what?\n");
  EXPECT_EQ(ProcessDir::Open(proc.root(), 42).status().code(),
            StatusCode::kCorrupt);
}

TEST(ProcessDir, CapsTheCommandLine) {
  TempProc proc;
  proc.AddProcess(kKey, "x", "/bin/x");
  proc.Write("42/cmdline", std::string(kMaxCmdlineBytes * 2, 'a'));
  auto process = ProcessDir::Open(proc.root(), kKey);
  ASSERT_TRUE(process.ok());
  EXPECT_EQ(process->ReadCmdline().value().size(), kMaxCmdlineBytes);
}

TEST(ProcessDir, RemovesOneFinalNulOfTheCommandLineOnly) {
  TempProc proc;
  proc.AddProcess(kKey, "x", "/bin/x");
  proc.Write("42/cmdline", std::string_view("x\0\0", 3));
  auto process = ProcessDir::Open(proc.root(), kKey);
  ASSERT_TRUE(process.ok());
  EXPECT_EQ(process->ReadCmdline().value(), std::string("x\0", 2));
}

TEST(ProcessDir, KnowsKernelThreadsByFlagOrByParent) {
  TempProc proc;
  proc.Write("42/stat", StatText(kKey, "kworker/0:1", 0x00200000 | 0x40, 2));
  proc.Write("43/stat", StatText({43, 5}, "kworker/0:2", 0, 2));
  proc.Write("43/cmdline", "");
  proc.AddProcess({44, 5}, "user", "/bin/user");
  EXPECT_TRUE(ProcessDir::Open(proc.root(), 42)->IsKernelThread());
  EXPECT_TRUE(ProcessDir::Open(proc.root(), 43)->IsKernelThread());
  EXPECT_FALSE(ProcessDir::Open(proc.root(), 44)->IsKernelThread());
}

TEST(ProcessDir, ShowsPathsAsAProcessInAChrootSeesThem) {
  TempProc proc;
  proc.AddProcess(kKey, "x", "/srv/jail/bin/x");
  proc.Link("42/root", "/srv/jail");
  EXPECT_EQ(ProcessDir::Open(proc.root(), kKey)->ReadExe().value(), "/bin/x");
  EXPECT_EQ(PathBelowRoot("/srv/jailhouse/x", "/srv/jail"), "/srv/jailhouse/x");
  EXPECT_EQ(PathBelowRoot("/bin/x", "/"), "/bin/x");
}

TEST(ProcessDir, ComparesRootsAndMountNamespaces) {
  TempProc proc;
  proc.Write("a/file", "");
  proc.Write("b/file", "");
  for (const char* pid : {"self", "1", "2", "3"}) {
    proc.Write(std::string(pid) + "/stat", StatText({std::atoi(pid), 1}, "x"));
    proc.Link(std::string(pid) + "/root", proc.Path(*pid == '2' ? "b" : "a"));
    proc.Link(std::string(pid) + "/ns/mnt",
              proc.Path(*pid == '3' ? "b/file" : "a/file"));
  }
  EXPECT_FALSE(ProcessDir::Open(proc.root(), 1)->HasOtherRoot());
  EXPECT_TRUE(ProcessDir::Open(proc.root(), 2)->HasOtherRoot());
  EXPECT_TRUE(ProcessDir::Open(proc.root(), 3)->HasOtherRoot());
}

TEST(ProcessDir, ReadsOurOwnProcess) {
  auto process = ProcessDir::Open(kProcRoot, getpid());
  ASSERT_TRUE(process.ok()) << process.status().ToString();
  EXPECT_EQ(process->ReadExe().value(),
            std::filesystem::read_symlink("/proc/self/exe").string());
  EXPECT_EQ(process->ReadStat()->start_ticks, process->key().start_ticks);
  EXPECT_EQ(process->ReadStatus()->uid, geteuid());
  EXPECT_GE(process->ReadStatus()->threads, 1u);
  EXPECT_GT(process->ReadStatus()->namespace_pid, 0);
  EXPECT_THAT(process->ListThreads().value(), Contains(getpid()));
  EXPECT_FALSE(process->HasOtherRoot());
  EXPECT_FALSE(process->IsKernelThread());
  EXPECT_THAT(ListPids(), Contains(getpid()));
}

TEST(ProcessDir, StaysWithItsProcessToTheEnd) {
  LiveChild child(kCat);
  ASSERT_GT(child.pid(), 0);
  auto process = ProcessDir::Open(kProcRoot, child.pid());
  ASSERT_TRUE(process.ok());
  EXPECT_EQ(process->ReadCmdline().value(), std::string("cat\0-u", 6));
  child.Kill();
  EXPECT_EQ(process->ReadStat().status().code(), StatusCode::kGone);
  EXPECT_EQ(process->ReadExe().status().code(), StatusCode::kGone);
  EXPECT_EQ(process->ReadMaps().status().code(), StatusCode::kGone);
}

TEST(ProcessDir, KnowsAZombie) {
  pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) _exit(0);
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
  auto process = ProcessDir::Open(kProcRoot, pid);
  waitpid(pid, nullptr, 0);
  ASSERT_TRUE(process.ok());
  EXPECT_TRUE(process->stat().has_exited());
}

TEST(ProcessDir, KnowsALiveKernelThread) {
  auto kthreadd = ProcessDir::Open(kProcRoot, 2);
  if (!kthreadd.ok() || kthreadd->stat().comm != "kthreadd") {
    GTEST_SKIP() << "no kthreadd here: a pid namespace";
  }
  EXPECT_TRUE(kthreadd->IsKernelThread());
}

TEST(ListPids, TakesNumbersOnly) {
  TempProc proc;
  for (const char* name : {"10", "9", "self", "1a", "00x", "99999999999"}) {
    std::filesystem::create_directory(proc.Path(name));
  }
  EXPECT_THAT(ListPids(proc.root()), ElementsAre(9, 10));
  EXPECT_TRUE(ListPids(proc.Path("missing")).empty());
}

TEST(HostInfo, NamesHostAndKernel) {
  utsname name;
  ASSERT_EQ(uname(&name), 0);
  HostInfo host = ReadHostInfo();
  EXPECT_EQ(host.name, name.nodename);
  EXPECT_EQ(host.kernel_release, name.release);
}

}  // namespace
}  // namespace pprofd
