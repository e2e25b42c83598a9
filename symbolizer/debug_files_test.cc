#include "symbolizer/debug_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "symbolizer/testdata/known_code.h"
#include "symbolizer/testdata/shared_code_chains.h"

namespace pprofd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

BuildId BuildIdOf(const std::string& path) {
  UniqueFd fd = OpenFile(path);
  auto map = MapFile(fd.get());
  return ElfFile::Parse(Bytes(*map))->build_id();
}

// By itself has no file but by build ID.
class FakeOpener : public FileOpener {
 public:
  Result<FoundFile> Open(const std::string& root,
                         const std::string& path) override {
    if (opens_files) return OwnFileOpener().Open(root, path);
    return Status(StatusCode::kNotFound, path);
  }
  Result<FoundFile> FindByBuildId(const BuildId& build_id) override {
    asked.push_back(build_id);
    auto known = files.find(build_id);
    if (known == files.end()) {
      return Status(StatusCode::kNotFound, "far away");
    }
    return FoundFile{.fd = OpenFile(known->second),
                     .real_path = "/store/file.debug"};
  }

  bool opens_files = false;
  std::map<BuildId, std::string> files;
  std::vector<BuildId> asked;
};

class ByBuildIdTest : public testing::Test {
 protected:
  SymbolChain Lookup() {
    std::string path = TargetPath(".dynamic");
    return symbolizer_
        .SymbolizeModule(OpenFile(path).get(), "key", path, "",
                         std::array{AddressOf("known_hidden")},
                         DemangleStyle::kShort, NoDeadline())
        .Chain(0);
  }
  std::vector<std::string> Attempts() {
    return symbolizer_.Report("key").attempts;
  }

  FakeOpener opener_;
  Symbolizer symbolizer_{
      {.max_cache_bytes = 64 << 20, .debug_roots = {}, .opener = &opener_}};
};

TEST_F(ByBuildIdTest, TellsWhatIsKnownOfAFileThatIsNotHere) {
  EXPECT_THAT(Lookup(), IsEmpty());
  EXPECT_THAT(Attempts(), Contains("far away"));
  EXPECT_THAT(opener_.asked, ElementsAre(BuildIdOf(TargetPath(""))));
}

TEST_F(ByBuildIdTest, NamesComeWithTheFileOnceToldSo) {
  EXPECT_THAT(Lookup(), IsEmpty());
  opener_.files[BuildIdOf(TargetPath(""))] = TargetPath(".debug");
  EXPECT_THAT(Lookup(), IsEmpty());
  symbolizer_.Forget("key");
  EXPECT_EQ(Lookup().back().name, "known::(anonymous namespace)::Hidden");
  EXPECT_GT(Lookup().back().line, 0u);
  EXPECT_THAT(Attempts(), Contains(HasSubstr("/store/file.debug: ")));
}

TEST_F(ByBuildIdTest, RefusesAFileWithAnotherBuildId) {
  opener_.files[BuildIdOf(TargetPath(""))] = TargetPath(".dwarf4");
  EXPECT_THAT(Lookup(), IsEmpty());
  EXPECT_THAT(Attempts(), Contains("/store/file.debug: other build ID"));
}

TEST_F(ByBuildIdTest, FileOnThisHostIsNotAskedFor) {
  opener_.opens_files = true;
  std::string path = TargetPath(".stripped");
  symbolizer_.SymbolizeModule(OpenFile(path).get(), "key", path, "",
                              std::array{AddressOf("known_hidden")},
                              DemangleStyle::kShort, NoDeadline());
  EXPECT_THAT(Attempts(), Contains(HasSubstr("known_code.debug: ")));
  EXPECT_THAT(opener_.asked, IsEmpty());
}

TEST(OwnFileOpener, HasNothingByBuildIdAndNothingToSay) {
  auto found = OwnFileOpener().FindByBuildId(BuildId("12345678"));
  EXPECT_EQ(found.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(found.status().message(), "");
}

TEST(AlternateByBuildId, ComesFromTheOpener) {
  FakeOpener opener;
  std::string common = SharedCodePath("dwz/gcc5.common");
  Program program{.file = SharedCodePath("dwz/gcc5")};
  EXPECT_NE(FirstDifference(
                CallsOf(program, {.debug_roots = {}, .opener = &opener}).lines,
                CallsOf({SharedCodePath("plain/gcc5")}).lines),
            "");
  opener.files[BuildIdOf(common)] = common;
  AllCalls calls = CallsOf(program, {.debug_roots = {}, .opener = &opener});
  EXPECT_EQ(FirstDifference(calls.lines,
                            CallsOf({SharedCodePath("plain/gcc5")}).lines),
            "")
      << calls.Attempts();
  EXPECT_THAT(calls.attempts,
              Contains("alternate debug file: /store/file.debug"));
}

}  // namespace
}  // namespace pprofd
