#include "daemon/symbolize_command.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "symbolizer/elf_file.h"

namespace pprofd {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class SymbolizeCommandTest : public testing::Test {
 protected:
  SymbolizeCommandTest() {
    std::string pattern = testing::TempDir() + "pprofd-symbolize-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    UniqueFd fd(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    map_ = std::move(MapFile(fd.get())).value();
    Result<ElfFile> elf = ElfFile::Parse(Bytes(map_));
    entry_ = elf->entry().value;
    build_id_ = elf->build_id().Hex();
    own_path_ = std::filesystem::read_symlink("/proc/self/exe");
  }
  ~SymbolizeCommandTest() override {
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
  }

  // Runs the command; its output and errors are left in out_ and errors_.
  bool Run(const std::string& input) {
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream errors;
    auto symbolizer =
        SymbolizerClient::Start({.process = {.program = PPROFD_SYMBOLIZER,
                                             .role = "test",
                                             .max_cache_bytes = 64 << 20,
                                             .debug_roots = {folder_}}});
    if (!symbolizer.ok()) {
      ADD_FAILURE() << symbolizer.status().ToString();
      return false;
    }
    bool is_good =
        SymbolizeCommand(**symbolizer, {folder_}, DemangleStyle::kFull)
            .Run(in, out, errors);
    out_ = out.str();
    errors_ = errors.str();
    return is_good;
  }
  std::string Entry() const {
    std::ostringstream hex;
    hex << std::hex << entry_;
    return hex.str();
  }

  std::string folder_;
  MemoryMap map_;
  uint64_t entry_ = 0;
  std::string build_id_;
  std::string own_path_;
  std::string out_;
  std::string errors_;
};

std::string Format(const SymbolChain& chain) {
  ModuleSymbols symbols;
  symbols.AddChain({{"before", "", "", 0, 0, 0}});
  symbols.AddChain(chain);
  std::string text;
  ChainFormatter(symbols).Append(1, &text);
  return text;
}

TEST(ChainFormatter, ShowsInlinedCallsInnermostFirst) {
  SymbolChain chain = {{"a(int)", "", "/x/a.cc", 7, 3, 0},
                       {"b", "", "/x/b.cc", 9, 0, 0},
                       {"c", "", "", 0, 0, 0}};
  EXPECT_EQ(Format(chain),
            "a(int) at /x/a.cc:7:3\n (inlined by) b at /x/b.cc:9\n"
            " (inlined by) c at ??:0\n\n");
  EXPECT_EQ(Format({}), "?? at ??:0\n\n");
}

TEST(ChainFormatter, KeepsANameOnItsLine) {
  EXPECT_EQ(Format({{"evil\nname", "", "f\n", 1, 0, 0}}),
            "evil name at f :1\n\n");
}

TEST_F(SymbolizeCommandTest, AnswersEachAddressWithABlock) {
  EXPECT_TRUE(Run(own_path_ + " 0x" + Entry() + " " + Entry() + " 1\n"));
  std::string block = out_.substr(0, out_.find("\n\n") + 2);
  EXPECT_THAT(block, StartsWith("_start at "));
  EXPECT_EQ(out_, block + block + "?? at ??:0\n\n");
  EXPECT_EQ(errors_, "");
}

TEST_F(SymbolizeCommandTest, GoesOnAfterABadLine) {
  EXPECT_FALSE(Run("/none/such 10\n" + own_path_ + " zz\n" + own_path_ +
                   "\n\n\"unclosed 10\n" + own_path_ + " 1"));
  EXPECT_THAT(errors_, HasSubstr("line 1: /none/such: No such file"));
  EXPECT_THAT(errors_, HasSubstr("line 2: 'zz' is no hexadecimal address"));
  EXPECT_THAT(errors_, HasSubstr("line 3: expected a file or build ID"));
  EXPECT_THAT(errors_, HasSubstr("line 5: a double quote is not closed"));
  EXPECT_EQ(out_, "\n\n\n\n?? at ??:0\n\n");
}

TEST_F(SymbolizeCommandTest, RefusesAddressesThatDoNotFit) {
  EXPECT_FALSE(Run(own_path_ + " 0x1ffffffffffffffff\n"));
  EXPECT_FALSE(Run(own_path_ + " 0x\n"));
  EXPECT_FALSE(Run(own_path_ + " -1\n"));
  EXPECT_TRUE(Run(own_path_ + " ffffffffffffffff\r\n"));
}

TEST_F(SymbolizeCommandTest, RefusesFilesThatAreNoElfFiles) {
  std::ofstream(folder_ + "/text") << "hello";
  ASSERT_EQ(mkfifo((folder_ + "/fifo").c_str(), 0600), 0);
  EXPECT_FALSE(Run(folder_ + "/text 1\n"));
  EXPECT_FALSE(Run(folder_ + "/fifo 1\n"));
  EXPECT_FALSE(Run(folder_ + " 1\n"));
}

TEST_F(SymbolizeCommandTest, CutsOverlongLines) {
  EXPECT_FALSE(Run(std::string(1 << 20, 'x') + "\n" + own_path_ + " 1\n"));
  EXPECT_THAT(errors_, HasSubstr("line 1: longer than 65536 bytes"));
  EXPECT_EQ(out_, "\n?? at ??:0\n\n");
}

TEST_F(SymbolizeCommandTest, AnswersMoreLinesThanItTakesAtOnce) {
  std::string question = own_path_ + " 1 " + Entry() + "\n/none/such 1\n";
  EXPECT_FALSE(Run(question));
  std::string answer = out_;
  EXPECT_THAT(answer, StartsWith("?? at ??:0\n\n_start at "));
  size_t count = 2 * SymbolizeCommand::kMaxBatchBytes / question.size();
  std::string questions;
  std::string answers;
  for (size_t i = 0; i < count; ++i) {
    questions += question;
    answers += answer;
  }
  EXPECT_FALSE(Run(questions));
  EXPECT_EQ(out_, answers);
  EXPECT_THAT(errors_, HasSubstr("line " + std::to_string(2 * count) + ": "));
}

TEST_F(SymbolizeCommandTest, AsksAboutMoreFilesThanCanBeOpen) {
  constexpr rlim_t kOpenFiles = 128;
  std::string questions;
  for (rlim_t i = 0; i < 2 * kOpenFiles; ++i) {
    std::string name = folder_ + "/" + std::to_string(i);
    std::filesystem::create_symlink(own_path_, name);
    questions += name + " " + Entry() + "\n";
  }
  rlimit old_limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old_limit), 0);
  rlimit limit{.rlim_cur = kOpenFiles, .rlim_max = old_limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_TRUE(Run(questions)) << errors_.substr(0, 500);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old_limit), 0);
}

TEST_F(SymbolizeCommandTest, ReadsNamesInQuotes) {
  std::filesystem::create_symlink(own_path_, folder_ + "/a b");
  EXPECT_TRUE(Run("\"" + folder_ + "/a b\" " + Entry() + "\n"));
  EXPECT_THAT(out_, StartsWith("_start at "));
}

TEST_F(SymbolizeCommandTest, FindsABuildIdInTheDebugRootsAndAmongKnownFiles) {
  if (build_id_.empty()) GTEST_SKIP() << "built without build ID";
  std::string question = build_id_ + " " + Entry() + "\n";
  EXPECT_FALSE(Run(question));
  EXPECT_THAT(errors_, HasSubstr("no file of build ID " + build_id_));
  EXPECT_TRUE(Run(own_path_ + " 1\n" + question));
  EXPECT_THAT(out_, HasSubstr("\n\n_start at "));
  std::string folder = folder_ + "/.build-id/" + build_id_.substr(0, 2);
  std::filesystem::create_directories(folder);
  std::filesystem::create_symlink(
      own_path_, folder + "/" + build_id_.substr(2) + ".debug");
  EXPECT_TRUE(Run(question)) << errors_;
  EXPECT_THAT(out_, StartsWith("_start at "));
}

TEST_F(SymbolizeCommandTest, DoesNotBelieveTheNameOfADebugFile) {
  std::string other = std::string(40, 'a');
  std::filesystem::create_directories(folder_ + "/.build-id/aa");
  std::filesystem::create_symlink(
      own_path_, folder_ + "/.build-id/aa/" + other.substr(2) + ".debug");
  EXPECT_FALSE(Run(other + " 1\n"));
}

}  // namespace
}  // namespace pprofd
