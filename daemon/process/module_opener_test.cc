#include "daemon/process/module_opener.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "daemon/process/live_child.h"
#include "daemon/process/temp_proc.h"

namespace pprofd {
namespace {

using testing::HasSubstr;

constexpr ProcessKey kKey{42, 1000};

pprofd_file_key FileKeyOf(const struct stat& info) {
  pprofd_file_key key{};
  key.inode = info.st_ino;
  key.ctime_ns = uint64_t(info.st_ctim.tv_sec) * 1'000'000'000 +
                 uint64_t(info.st_ctim.tv_nsec);
  key.device = major(info.st_dev) << 20 | minor(info.st_dev);
  return key;
}

pprofd_file_key FileKeyOf(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return FileKeyOf(info);
}

// What the kernel half says of the program that `pid` executes.
NewModuleEvent EventOf(pid_t pid) {
  NewModuleEvent event;
  Result<ProcessDir> process = ProcessDir::Open(kProcRoot, pid);
  EXPECT_TRUE(process.ok());
  Result<std::string> exe = process->ReadExe();
  ProcMaps maps = process->ReadMaps().value();
  event.module = ModuleId{7};
  event.process = process->key();
  event.key = FileKeyOf("/proc/" + std::to_string(pid) + "/exe");
  for (const ProcMapping& mapping : maps.mappings) {
    if (mapping.path != exe.value()) continue;
    event.map_start = mapping.start;
    event.map_limit = mapping.limit;
    event.offset = mapping.offset;
  }
  EXPECT_NE(event.map_limit.value, 0u);
  return event;
}

bool CanFollowMapFiles() {
  LiveChild child(kCat);
  NewModuleEvent event = EventOf(child.pid());
  char name[64];
  snprintf(name, sizeof(name), "map_files/%lx-%lx",
           static_cast<unsigned long>(event.map_start.value),
           static_cast<unsigned long>(event.map_limit.value));
  return ProcessDir::Open(kProcRoot, child.pid())->OpenAt(name, O_PATH).ok();
}

class CopiedProgram {
 public:
  CopiedProgram() : path_(directory_.Path("my cat")) {
    std::filesystem::copy_file(kCat, path_);
  }
  const std::string& path() const { return path_; }

 private:
  TempProc directory_;
  std::string path_;
};

std::string ContentOf(int fd) {
  std::string content;
  char piece[4096];
  ssize_t size;
  while ((size = pread(fd, piece, sizeof(piece),
                       static_cast<off_t>(content.size()))) > 0) {
    content.append(piece, static_cast<size_t>(size));
  }
  return content;
}

void ExpectIsCat(const Module& module) {
  UniqueFd wanted(open(kCat, O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(module.file);
  EXPECT_EQ(module.unavailable_reason, "");
  EXPECT_TRUE(ContentOf(module.file.get()) == ContentOf(wanted.get()));
}

TEST(OpenModule, OpensTheProgramOfALivingProcess) {
  LiveChild child(kCat);
  NewModuleEvent event = EventOf(child.pid());
  Module module = OpenModule(event);
  ExpectIsCat(module);
  EXPECT_EQ(module.id, ModuleId{7});
  EXPECT_EQ(module.key.inode, event.key.inode);
  EXPECT_EQ(module.path, std::filesystem::canonical(kCat).string());
  EXPECT_EQ(module.root, "");
  EXPECT_EQ(fcntl(module.file.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_EQ(fcntl(module.file.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(OpenModule, OpensADeletedProgram) {
  if (!CanFollowMapFiles()) GTEST_SKIP() << "needs CAP_CHECKPOINT_RESTORE";
  CopiedProgram program;
  LiveChild child(program.path());
  std::filesystem::remove(program.path());
  Module module = OpenModule(EventOf(child.pid()));
  ExpectIsCat(module);
  EXPECT_EQ(module.path, program.path());
}

TEST(OpenModule, OpensAProgramInAMemfd) {
  if (!CanFollowMapFiles()) GTEST_SKIP() << "needs CAP_CHECKPOINT_RESTORE";
  UniqueFd memfd(memfd_create("my program", 0));
  UniqueFd source(open(kCat, O_RDONLY | O_CLOEXEC));
  char piece[4096];
  ssize_t size;
  while ((size = read(source.get(), piece, sizeof(piece))) > 0) {
    ASSERT_EQ(write(memfd.get(), piece, size), size);
  }
  // A descriptor open for writing cannot be executed.
  UniqueFd program(
      open(("/proc/self/fd/" + std::to_string(memfd.get())).c_str(), O_RDONLY));
  memfd.Reset();
  LiveChild child("/proc/self/fd/" + std::to_string(program.get()));
  ASSERT_GT(child.pid(), 0);
  Module module = OpenModule(EventOf(child.pid()));
  ExpectIsCat(module);
  EXPECT_EQ(module.path, "/memfd:my program");
}

TEST(OpenModule, FindsAMappingThatWasSplitSince) {
  LiveChild child(kCat);
  NewModuleEvent event = EventOf(child.pid());
  event.map_limit.value += 4096;  // as it was once
  ExpectIsCat(OpenModule(event));
}

TEST(OpenModule, FindsTheFileOfAProcessThatLeft) {
  CopiedProgram program;
  NewModuleEvent event;
  {
    LiveChild child(program.path());
    event = EventOf(child.pid());
  }
  struct stat info{};
  ASSERT_EQ(stat(program.path().c_str(), &info), 0);
  struct stat root{};
  ASSERT_EQ(stat("/", &root), 0);
  if (info.st_dev != root.st_dev || major(root.st_dev) == 0) {
    GTEST_SKIP() << "the temporary directory is not on a plain root";
  }
  event.path = program.path();
  Module module = OpenModule(event);
  ExpectIsCat(module);
  EXPECT_EQ(module.path, program.path());

  event.key.ctime_ns += 1;
  module = OpenModule(event);
  EXPECT_FALSE(module.file);
  EXPECT_EQ(module.path, program.path());
  EXPECT_THAT(module.unavailable_reason, HasSubstr("no such process"));
  EXPECT_THAT(module.unavailable_reason, HasSubstr("another file"));
}

TEST(OpenModule, DoesNotAskTheProcessThatGotThePid) {
  NewModuleEvent event;
  event.process = {getpid(), 1};
  event.path = "/nowhere/lib.so";
  Module module = OpenModule(event);
  EXPECT_FALSE(module.file);
  EXPECT_EQ(module.path, "/nowhere/lib.so");
  EXPECT_THAT(module.unavailable_reason, HasSubstr("used again"));
}

// ---- On a tree that looks like /proc ----------------------------------------

class FakeTarget : public testing::Test {
 protected:
  FakeTarget() {
    proc_.AddProcess(kKey, "x", "/bin/x",
                     "10000-20000 r-xp 00000000 fe:00 7 /lib/x.so\n");
    event_.module = ModuleId{9};
    event_.process = kKey;
    event_.map_start = {0x10000};
    event_.map_limit = {0x20000};
  }
  Module Open() { return OpenModule(event_, proc_.root()); }

  TempProc proc_;
  NewModuleEvent event_;
};

TEST_F(FakeTarget, FallsBackToThePathInsideTheTargetsRoot) {
  std::filesystem::create_directories(proc_.Path("42/root/lib"));
  std::filesystem::copy_file(kCat, proc_.Path("42/root/lib/x.so"));
  event_.key = FileKeyOf(proc_.Path("42/root/lib/x.so"));
  Module module = Open();
  ExpectIsCat(module);
  EXPECT_EQ(module.path, "/lib/x.so");
}

TEST_F(FakeTarget, RefusesAnotherFileUnderThePath) {
  proc_.Write("42/root/lib/x.so", "replaced");
  event_.key = FileKeyOf(proc_.Path("42/root/lib/x.so"));
  event_.key.ctime_ns -= 1;
  Module module = Open();
  EXPECT_FALSE(module.file);
  EXPECT_THAT(module.unavailable_reason, HasSubstr("another file"));
  EXPECT_EQ(module.path, "/lib/x.so");
}

TEST_F(FakeTarget, RefusesAnotherFileInTheMappingsPlace) {
  proc_.Link("42/map_files/10000-20000", kCat);
  event_.key = FileKeyOf(kCat);
  event_.key.inode += 1;
  EXPECT_FALSE(Open().file);
}

TEST_F(FakeTarget, DoesNotFollowLinksOutOfTheTargetsRoot) {
  std::string secret = proc_.Write("secret", "secret");
  proc_.Link("42/root/lib/x.so", secret);
  event_.key = FileKeyOf(secret);
  EXPECT_FALSE(Open().file);
}

TEST_F(FakeTarget, DoesNotWaitForAFifo) {
  std::filesystem::create_directories(proc_.Path("42/map_files"));
  std::string fifo = proc_.Path("42/map_files/10000-20000");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  event_.key = FileKeyOf(fifo);
  Module module = Open();
  EXPECT_FALSE(module.file);
  EXPECT_THAT(module.unavailable_reason, HasSubstr("not a regular file"));
}

TEST_F(FakeTarget, NamesTheRootOfATargetThatHasItsOwn) {
  proc_.Link("42/map_files/10000-20000", kCat);
  event_.key = FileKeyOf(kCat);
  proc_.Write("a/file", "");
  proc_.Link("42/root", proc_.Path("a"));
  proc_.Link("self/root", "/");
  Module module = Open();
  EXPECT_TRUE(module.file);
  EXPECT_EQ(module.root, proc_.Path("42/root"));
}

// ---- vDSO
// --------------------------------------------------------------------

TEST(VdsoModule, IsACopyThatNobodyCanChange) {
  auto image = reinterpret_cast<const char*>(getauxval(AT_SYSINFO_EHDR));
  if (image == nullptr) GTEST_SKIP() << "this kernel gives no vDSO";
  Module module = MakeVdsoModule();
  EXPECT_EQ(module.id, ModuleId::kVdso);
  EXPECT_EQ(module.path, "[vdso]");
  EXPECT_EQ(module.unavailable_reason, "");
  ASSERT_TRUE(module.file);
  char bytes[4096];
  ASSERT_EQ(pread(module.file.get(), bytes, sizeof(bytes), 0),
            static_cast<ssize_t>(sizeof(bytes)));
  EXPECT_EQ(memcmp(bytes, image, sizeof(bytes)), 0);
  std::string path = "/proc/self/fd/" + std::to_string(module.file.get());
  UniqueFd writable(open(path.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_TRUE(!writable || write(writable.get(), "x", 1) < 0);
}

}  // namespace
}  // namespace pprofd
