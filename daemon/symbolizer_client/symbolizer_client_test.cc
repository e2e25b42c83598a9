// The client and a real pprofd-symbolizer: what it answers, and what its loss
// costs.
#include "daemon/symbolizer_client/symbolizer_client.h"

#include <elf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "daemon/base/telemetry.h"
#include "daemon/symbolizer_client/file_broker.h"
#include "symbolizer/elf_file.h"

namespace pprofd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

__attribute__((noinline)) void KnownFunction() { asm volatile(""); }

class SymbolizerClientTest : public testing::Test {
 protected:
  SymbolizerClientTest() : own_(open("/proc/self/exe", O_RDONLY | O_CLOEXEC)) {
    auto client = SymbolizerClient::Start({.process = Process()});
    if (client.ok()) {
      client_ = std::move(*client);
    } else {
      ADD_FAILURE() << client.status().ToString();
    }
    auto map = MapFile(own_.get());
    map_ = std::move(*map);
    auto elf = ElfFile::Parse(Bytes(map_));
    elf_.emplace(std::move(*elf));
  }
  static SymbolizerProcess::Options Process() {
    return {.program = PPROFD_SYMBOLIZER,
            .role = "test",
            .max_cache_bytes = 64 << 20,
            .debug_roots = {}};
  }
  // Where KnownFunction() is in the file, if the program is not moved, or moved
  // as a whole.
  ModuleAddr KnownAddress() const {
    auto start = reinterpret_cast<uint64_t>(&KnownFunction);
    extern const char executable_start[] __asm__("__ehdr_start");
    return {start - reinterpret_cast<uint64_t>(executable_start) +
            elf_->load_segments().front().address.value};
  }
  NamedFile Own(const std::string& key = "own") const {
    return {.file = own_.get(), .key = key, .path = "/own", .root = ""};
  }
  ModuleSymbols NameKnown(const std::string& key = "own") {
    ModuleAddr address = KnownAddress();
    return client_->SymbolizeModule(Own(key), {&address, 1},
                                    DemangleStyle::kShort, Soon());
  }
  static SymbolizerClient::Deadline Soon() {
    return std::chrono::steady_clock::now() + std::chrono::seconds(60);
  }

  UniqueFd own_;
  std::unique_ptr<SymbolizerClient> client_;
  MemoryMap map_;
  std::optional<ElfFile> elf_;
};

TEST_F(SymbolizerClientTest, DescribesAFile) {
  Module module;
  module.file.Reset(fcntl(own_.get(), F_DUPFD_CLOEXEC, 0));
  EXPECT_FALSE(client_->DescribeModule(&module).empty());
  EXPECT_EQ(module.build_id, elf_->build_id());
  EXPECT_EQ(module.segments.size(), elf_->load_segments().size());
  EXPECT_EQ(module.unavailable_reason, "");
}

TEST_F(SymbolizerClientTest, SaysWhyAFileIsNoElfFile) {
  Module module;
  module.file.Reset(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(client_->DescribeModule(&module).empty());
  EXPECT_NE(module.unavailable_reason, "");
  EXPECT_TRUE(module.segments.empty());
}

TEST_F(SymbolizerClientTest, BuildsTheTableThatWouldBeBuiltHere) {
  Result<UnwindTable> here = BuildUnwindTable(Bytes(map_));
  Result<UnwindTable> there = client_->BuildTable(own_.get());
  ASSERT_TRUE(here.ok());
  ASSERT_TRUE(there.ok()) << there.status().ToString();
  EXPECT_EQ(there->rows, here->rows);
  ASSERT_EQ(there->rules.size(), here->rules.size());
  for (size_t i = 0; i < here->rules.size(); ++i) {
    EXPECT_EQ(RuleBits(there->rules[i]), RuleBits(here->rules[i]));
  }
  EXPECT_EQ(there->stats.covered_bytes, here->stats.covered_bytes);
}

TEST_F(SymbolizerClientTest, FindsTheSlotsOfAProgramThatAllocates) {
  Result<AllocatorReport> found = client_->FindAllocator(own_.get());
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_EQ(found->family, "");
  EXPECT_FALSE(found->is_static);
  EXPECT_TRUE(found->has_symbols);
  EXPECT_FALSE(found->slots.empty());
}

TEST_F(SymbolizerClientTest, SaysWhyAFileProvidesNoAllocator) {
  UniqueFd file(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(client_->FindAllocator(file.get()).status().code(),
            StatusCode::kUnsupported);
}

TEST_F(SymbolizerClientTest, NamesAddresses) {
  ModuleSymbols names = NameKnown();
  EXPECT_EQ(names.problem, "");
  ASSERT_EQ(names.size(), 1u);
  ASSERT_FALSE(names.Chain(0).empty());
  EXPECT_THAT(names.Chain(0).back().name, HasSubstr("KnownFunction"));
  EXPECT_GT(client_->cache_bytes(), 0u);
  EXPECT_FALSE(client_->Report("own").attempts.empty());
}

TEST_F(SymbolizerClientTest, TellsWhatThereIsToFind) {
  Result<Examination> found = client_->Examine(Own());
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_TRUE(found->symbols.has_dwarf);
  EXPECT_GT(found->table.eh_frame_fdes, 0u);
  EXPECT_EQ(found->table_problem, "");
  EXPECT_TRUE(client_->Report("own").attempts.empty()) << "nothing is kept";
}

TEST_F(SymbolizerClientTest, AsksForMappingsAndFilesToUnwindAStack) {
  RawStack raw;
  raw.registers[7] = 0x7000;                 // rsp
  raw.registers[16] = KnownAddress().value;  // rip
  raw.bytes.assign(64, 0);                   // the caller is at 0: the root
  std::vector<uint64_t> asked;
  auto stack = client_->Unwind(
      raw, {},
      [&](VirtualAddr address) -> std::optional<Mapping> {
        asked.push_back(address.value);
        return Mapping{.start = {0},
                       .limit = {UINT64_MAX},
                       .offset = {0},
                       .module = ModuleId{5}};
      },
      [&](ModuleId id) {
        EXPECT_EQ(id, ModuleId{5});
        auto module = std::make_shared<Module>();
        module->id = id;
        module->file.Reset(fcntl(own_.get(), F_DUPFD_CLOEXEC, 0));
        return module;
      });
  ASSERT_TRUE(stack.ok()) << stack.status().ToString();
  ASSERT_FALSE(stack->frames.empty());
  EXPECT_EQ(asked.front(), KnownAddress().value);
  EXPECT_EQ(stack->frames[0].module(), ModuleId{5});
}

TEST_F(SymbolizerClientTest, StartsAnotherWhenOneWasKilledWhileIdle) {
  NameKnown();
  pid_t first = client_->pid();
  ASSERT_EQ(kill(first, SIGKILL), 0);
  siginfo_t end;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(first), &end, WEXITED | WNOWAIT),
            0);
  ModuleSymbols names = NameKnown();
  EXPECT_EQ(names.problem, "") << "nothing was lost";
  EXPECT_FALSE(names.Chain(0).empty());
  EXPECT_NE(client_->pid(), first);
}

// A target's file system that kills the symbolizer as soon as it asks.
class DeadlyOpener : public FileOpener {
 public:
  Result<FoundFile> Open(const std::string&, const std::string&) override {
    ++calls;
    if (client != nullptr && is_deadly) kill(client->pid(), SIGKILL);
    return Status(StatusCode::kNotFound, "nothing here");
  }
  SymbolizerClient* client = nullptr;
  bool is_deadly = true;
  int calls = 0;
};

// An ELF file without debug information but with a build ID, so that files are
// searched for.
class StrippedFile {
 public:
  StrippedFile() {
    path_ = testing::TempDir() + "pprofd-stripped-" + std::to_string(getpid());
    std::string command =
        "strip -o " + path_ + " " +
        std::filesystem::read_symlink("/proc/self/exe").string();
    EXPECT_EQ(system(command.c_str()), 0);
    file_.Reset(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  }
  ~StrippedFile() { std::filesystem::remove(path_); }
  NamedFile Named(const std::string& key) const {
    return {.file = file_.get(), .key = key, .path = "/bin/s", .root = ""};
  }

 private:
  std::string path_;
  UniqueFd file_;
};

class LostSymbolizerTest : public SymbolizerClientTest {
 protected:
  LostSymbolizerTest() {
    SymbolizerProcess::Options process = Process();
    process.debug_roots = {"/debug"};
    auto client = SymbolizerClient::Start(
        {.process = std::move(process), .opener = &opener_});
    client_ = std::move(*client);
    opener_.client = client_.get();
  }
  ModuleSymbols Name(const std::string& key) {
    ModuleAddr address = KnownAddress();
    return client_->SymbolizeModule(stripped_.Named(key), {&address, 1},
                                    DemangleStyle::kShort, Soon());
  }

  DeadlyOpener opener_;
  StrippedFile stripped_;
};

TEST_F(LostSymbolizerTest, CostsTheNamesOfOneFileAndSaysSo) {
  uint64_t deaths = GlobalCounters().Get(Counter::symbolizer_deaths);
  ModuleSymbols lost = Name("a");
  EXPECT_EQ(lost.size(), 0u);
  EXPECT_THAT(lost.problem, HasSubstr("killed by signal 9"));
  EXPECT_EQ(GlobalCounters().Get(Counter::symbolizer_deaths), deaths + 1);
  opener_.is_deadly = false;
  EXPECT_EQ(Name("b").problem, "");
  EXPECT_EQ(Name("a").problem, "") << "the next query is whole again";
}

TEST_F(LostSymbolizerTest, IsNotRiskedAgainForAFileThatWasDeadlyTwice) {
  Name("a");
  Name("a");
  int calls = opener_.calls;
  EXPECT_THAT(Name("a").problem, HasSubstr("cost the symbolizer its life 2"));
  EXPECT_EQ(opener_.calls, calls);
  opener_.is_deadly = false;
  EXPECT_EQ(Name("b").problem, "");
}

TEST_F(SymbolizerClientTest, NamesComeWithADebugFileOnceItHasArrived) {
  std::vector<std::string> askers;
  bool is_here = false;
  auto find = [&](const BuildId&,
                  const std::string& asker) -> Result<FoundFile> {
    askers.push_back(asker);
    if (!is_here) return Status(StatusCode::kNotFound, "on its way");
    return FoundFile{
        .fd = UniqueFd(open("/proc/self/exe", O_RDONLY | O_CLOEXEC)),
        .real_path = "/store/file.debug"};
  };
  auto client =
      SymbolizerClient::Start({.process = Process(), .find_debug_file = find});
  ASSERT_TRUE(client.ok());
  StrippedFile stripped;
  ModuleAddr address = KnownAddress();
  auto name = [&] {
    return (*client)->SymbolizeModule(stripped.Named("a"), {&address, 1},
                                      DemangleStyle::kShort, Soon());
  };
  EXPECT_EQ(name().has_line_numbers, false);
  EXPECT_THAT(askers, ElementsAre("a"));
  EXPECT_THAT((*client)->Report("a").attempts, Contains("on its way"));
  is_here = true;
  EXPECT_EQ(name().has_line_numbers, false) << "nobody has said so";
  (*client)->NoteArrival("a");
  EXPECT_THAT((*client)->Report("a").attempts, IsEmpty()) << "out of date";
  EXPECT_EQ(name().has_line_numbers, true);
  EXPECT_THAT((*client)->Report("a").attempts,
              Contains(HasSubstr("/store/file.debug: ")));
  EXPECT_EQ(name().has_line_numbers, true);
  EXPECT_THAT(askers, ElementsAre("a", "a")) << "looked for once again";
  EXPECT_TRUE((*client)->Examine(stripped.Named("b")).ok());
  EXPECT_EQ(askers.back(), "") << "an examination asks for nobody";
}

TEST_F(SymbolizerClientTest, GivesTheSymbolizerElfFilesOnlyByBuildId) {
  auto found = [](const char* path) {
    return FileBroker(
               OwnFileOpener(), "",
               [=](const BuildId&) { return OwnFileOpener().Open("/", path); })
        .Find(BuildId("12345678"));
  };
  EXPECT_TRUE(found("/bin/true").ok());
  EXPECT_EQ(found("/etc/passwd").status().code(), StatusCode::kDenied);
  EXPECT_EQ(FileBroker(OwnFileOpener(), "")
                .Find(BuildId("12345678"))
                .status()
                .message(),
            "");
}

// A file system that takes its time, once.
class SlowOpener : public FileOpener {
 public:
  Result<FoundFile> Open(const std::string&, const std::string&) override {
    std::this_thread::sleep_for(std::exchange(delay_, {}));
    return Status(StatusCode::kNotFound, "nothing here");
  }

 private:
  std::chrono::milliseconds delay_ = 2 * SymbolizerProcess::kPatience;
};

TEST_F(SymbolizerClientTest, KeepsWhatCameTooLateForTheNextCaller) {
  SlowOpener opener;
  SymbolizerProcess::Options process = Process();
  process.debug_roots = {"/debug"};
  auto client =
      SymbolizerClient::Start({.process = process, .opener = &opener});
  ASSERT_TRUE(client.ok());
  StrippedFile stripped;
  pid_t pid = (*client)->pid();
  ModuleAddr address = KnownAddress();
  auto name = [&](SymbolizerClient::Deadline deadline) {
    return (*client)->SymbolizeModule(stripped.Named("a"), {&address, 1},
                                      DemangleStyle::kShort, deadline);
  };
  ModuleSymbols late = name(std::chrono::steady_clock::now());
  EXPECT_THAT(late.problem, HasSubstr("time was up"));
  EXPECT_EQ(name(Soon()).problem, "");
  EXPECT_EQ((*client)->pid(), pid) << "the same symbolizer";
}

TEST_F(SymbolizerClientTest, GivesTheSymbolizerElfFilesOnly) {
  FileBroker broker(OwnFileOpener(), "");
  EXPECT_TRUE(broker.Open("/", "/bin/true").ok());
  EXPECT_EQ(broker.Open("/", "/etc/passwd").status().code(),
            StatusCode::kDenied);
  EXPECT_FALSE(broker.Open("/", "/dev/null").ok());
  EXPECT_FALSE(broker.Open("/", "/proc").ok());
  EXPECT_EQ(broker.Open("/proc/1/root", "/bin/true").status().code(),
            StatusCode::kDenied)
      << "another root than the module's";
  EXPECT_FALSE(broker.Open("/", "bin/true").ok());
}

TEST(SymbolizerClient, SaysWhatIsMissingWhenItsProgramIs) {
  auto client = SymbolizerClient::Start(
      {.process = {.program = "/nowhere/pprofd-symbolizer",
                   .role = "test",
                   .debug_roots = {}}});
  ASSERT_FALSE(client.ok());
  EXPECT_THAT(client.status().message(), HasSubstr("beside pprofd"));
}

TEST(SymbolizerClient, SaysThatItsProgramIsNone) {
  auto client = SymbolizerClient::Start(
      {.process = {.program = "/bin/true", .role = "test", .debug_roots = {}}});
  ASSERT_FALSE(client.ok());
  EXPECT_THAT(client.status().message(), HasSubstr("does not start"));
}

}  // namespace
}  // namespace pprofd
