#include "symbolizer/kallsyms.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace pprofd {
namespace {

constexpr char kText[] =
    "ffffffff81000000 T _stext\n"
    "ffffffff81000000 T entry_64\n"
    "ffffffff81000100 t local_fn\n"
    "ffffffff81000200 D some_data\n"
    "ffffffff81000300 W weak_fn\n"
    "ffffffffc0000000 t mod_fn\t[nf_tables]\n"
    "ffffffffc0001000 t bpf_prog_1234_run\t[bpf]\n"
    "bad line\n"
    "ffffffffc0000800 r mod_data\t[nf_tables]";

KallsymsTable Parse(std::string_view text, size_t piece) {
  KallsymsTable table;
  for (size_t i = 0; i < text.size(); i += piece) {
    table.Append(text.substr(i, piece));
  }
  table.Finish();
  return table;
}

TEST(Kallsyms, FindsFunctionsAtAnyCutOfTheText) {
  for (size_t piece : {1, 7, 64, 4096}) {
    KallsymsTable table = Parse(kText, piece);
    EXPECT_EQ(table.Find(0xffffffff81000010)->name, "entry_64");
    EXPECT_EQ(table.Find(0xffffffff81000100)->name, "local_fn");
    EXPECT_EQ(table.Find(0xffffffff81000301)->name, "weak_fn");
    EXPECT_EQ(table.Find(0xffffffffc0000010)->name, "mod_fn");
  }
}

TEST(Kallsyms, EndsFunctionsWhereDataBegins) {
  KallsymsTable table = Parse(kText, 4096);
  EXPECT_FALSE(table.Find(0xffffffff81000250).has_value());
  EXPECT_FALSE(table.Find(0xffffffffc0000900).has_value());
  EXPECT_FALSE(table.Find(0x1000).has_value());
}

TEST(Kallsyms, TellsBpfPrograms) {
  KallsymsTable table = Parse(kText, 4096);
  EXPECT_TRUE(table.Find(0xffffffffc0001010)->is_bpf);
  EXPECT_FALSE(table.Find(0xffffffffc0000010)->is_bpf);
}

TEST(Kallsyms, KnowsHiddenAddresses) {
  EXPECT_TRUE(Parse("0000000000000000 T a\n", 64).is_hidden());
  EXPECT_FALSE(Parse(kText, 64).is_hidden());
}

class KallsymsFilesTest : public testing::Test {
 protected:
  KallsymsFilesTest() {
    std::string pattern = testing::TempDir() + "kallsymsXXXXXX";
    proc_ = mkdtemp(pattern.data());
  }
  ~KallsymsFilesTest() override { std::filesystem::remove_all(proc_); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(proc_ + "/" + name) << text;
  }

  std::string proc_;
};

TEST_F(KallsymsFilesTest, ReadsAgainWhenModulesChange) {
  Write("kallsyms", "ffffffff81000000 T a\n");
  Write("modules", "x 4096 0 - Live 0xffffffffc0000000\n");
  Kallsyms kallsyms(proc_);
  ASSERT_TRUE(kallsyms.Refresh().ok());
  EXPECT_EQ(kallsyms.Find(0xffffffff81000000), "a");
  Write("kallsyms", "ffffffff81000000 T b\n");
  Write("modules", "x 4096 7 y,z Live 0xffffffffc0000000\n");
  ASSERT_TRUE(kallsyms.Refresh().ok());
  EXPECT_EQ(kallsyms.Find(0xffffffff81000000), "a") << "only counts changed";
  Write("modules", "");
  ASSERT_TRUE(kallsyms.Refresh().ok());
  EXPECT_EQ(kallsyms.Find(0xffffffff81000000), "b");
}

TEST_F(KallsymsFilesTest, FindsBpfProgramsThatWereLoadedLater) {
  Kallsyms::Clock::time_point now{};
  Kallsyms kallsyms(proc_, [&] { return now; });
  Write("kallsyms",
        "ffffffff81000000 T a\n"
        "ffffffffc0001000 t bpf_prog_12_old\t[bpf]\n");
  ASSERT_TRUE(kallsyms.Refresh().ok());
  EXPECT_EQ(kallsyms.Find(0xffffffffc0002010), "bpf_prog_12_old");
  Write("kallsyms",
        "ffffffff81000000 T a\n"
        "ffffffffc0001000 t bpf_prog_34_other\t[bpf]\n"
        "ffffffffc0002000 t bpf_prog_56_new\t[bpf]\n");
  now += Kallsyms::kMinInterval - std::chrono::nanoseconds(1);
  ASSERT_TRUE(kallsyms.Refresh().ok());
  EXPECT_EQ(kallsyms.Find(0xffffffffc0002010), "bpf_prog_12_old") << "not yet";
  now += std::chrono::nanoseconds(1);
  EXPECT_EQ(kallsyms.Find(0xffffffffc0002010), "bpf_prog_56_new");
  EXPECT_EQ(kallsyms.Find(0xffffffffc0001010), "bpf_prog_34_other");
}

TEST_F(KallsymsFilesTest, SpendsLittleOnReadingAgain) {
  Kallsyms::Clock::time_point now{};
  int questions = 0;  // for the time
  Kallsyms kallsyms(proc_, [&] {
    ++questions;
    return now += std::chrono::milliseconds(100);
  });
  Write("kallsyms", "ffffffff81000000 T a\n");
  ASSERT_TRUE(kallsyms.Refresh().ok());
  Kallsyms::Clock::time_point start = now;
  Write("kallsyms", "0000000000001000 T b\nffffffff81000000 T a\n");
  while (!kallsyms.Find(0x1000)) ASSERT_LT(questions, 1000);
  EXPECT_GE(now - start,
            Kallsyms::kLoadFactor * std::chrono::milliseconds(100));
}

TEST_F(KallsymsFilesTest, SaysWhenAddressesAreHidden) {
  Write("kallsyms", "0000000000000000 T a\n");
  Kallsyms kallsyms(proc_);
  EXPECT_EQ(kallsyms.Refresh().code(), StatusCode::kDenied);
  EXPECT_FALSE(kallsyms.Find(0xffffffff81000000).has_value());
}

}  // namespace
}  // namespace pprofd
