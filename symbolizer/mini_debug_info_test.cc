#include "symbolizer/mini_debug_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lzma.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "symbolizer/decompress.h"
#include "symbolizer/symbolizer.h"
#include "symbolizer/testdata/known_code.h"

namespace pprofd {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class MiniDebugInfoTest : public testing::Test {
 protected:
  ModuleSymbols Lookup(int fd, const std::vector<ModuleAddr>& addresses) {
    return symbolizer_.SymbolizeModule(fd, "key", "/k", "", addresses,
                                       DemangleStyle::kShort, NoDeadline());
  }

  Symbolizer symbolizer_{Symbolizer::Options()};
};

TEST_F(MiniDebugInfoTest, NamesWhatDynamicSymbolsDoNot) {
  UniqueFd fd = OpenFile(TargetPath(".mini"));
  ModuleSymbols symbols =
      Lookup(fd.get(), {AddressOf("known_hidden"), AddressOf("known_assembly"),
                        AddressOf("known_exported")});
  ASSERT_THAT(symbols.Chain(0), SizeIs(1));
  EXPECT_EQ(symbols.Chain(0)[0].name, "known::(anonymous namespace)::Hidden");
  EXPECT_EQ(symbols.Chain(1).at(0).name, "known_assembly");
  EXPECT_EQ(symbols.Chain(2).at(0).name, "known_exported");
  EXPECT_FALSE(symbols.has_line_numbers);
  EXPECT_THAT(symbolizer_.Report("key").attempts,
              Contains(testing::ContainsRegex(
                  "/k .gnu_debugdata: [1-9][0-9]* functions")));
}

TEST_F(MiniDebugInfoTest, NamesInLaterCallsToo) {
  UniqueFd fd = OpenFile(TargetPath(".mini"));
  Lookup(fd.get(), {AddressOf("known_exported")});
  EXPECT_THAT(Lookup(fd.get(), {AddressOf("known_hidden")}).Chain(0),
              SizeIs(1));
}

// The packed table has known_inlined, a label without size inside Run().
TEST_F(MiniDebugInfoTest, LeavesDynamicFunctionsTheirNames) {
  UniqueFd fd = OpenFile(TargetPath(".mini"));
  std::vector<ModuleAddr> addresses;
  std::vector<std::string> names{"main", "known_exported",
                                 "_ZNK5known5Outer3RunEi"};
  for (const std::string& name : names) addresses.push_back(AddressOf(name));
  addresses.push_back(AddressOf("known_inlined"));
  names.push_back("_ZNK5known5Outer3RunEi");
  ModuleSymbols symbols = Lookup(fd.get(), addresses);
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(symbols.Chain(i).at(0).system_name, names[i]);
  }
}

TEST_F(MiniDebugInfoTest, SurvivesBrokenStreams) {
  UniqueFd original = OpenFile(TargetPath(".mini"));
  auto map = MapFile(original.get());
  auto elf = ElfFile::Parse(Bytes(*map));
  const ElfSection* section = elf->FindSection(".gnu_debugdata");
  ASSERT_NE(section, nullptr);
  for (uint64_t i = 0; i < section->size; i += 7) {
    std::vector<uint8_t> broken(Bytes(*map).begin(), Bytes(*map).end());
    broken[section->offset.value + i] ^= 0x55;
    auto file = ElfFile::Parse(broken);
    ASSERT_TRUE(file.ok());
    EXPECT_FALSE(MiniDebugInfo::Open(*file).ok()) << i;
  }
}

TEST_F(MiniDebugInfoTest, TellsWhyAStreamIsUnfit) {
  UniqueFd original = OpenFile(TargetPath(".mini"));
  auto map = MapFile(original.get());
  std::vector<uint8_t> broken(Bytes(*map).begin(), Bytes(*map).end());
  auto elf = ElfFile::Parse(broken);
  uint64_t at = elf->FindSection(".gnu_debugdata")->offset.value;
  broken[at] ^= 0xff;
  UniqueFd fd(memfd_create("broken", MFD_CLOEXEC));
  ASSERT_EQ(write(fd.get(), broken.data(), broken.size()),
            static_cast<ssize_t>(broken.size()));
  EXPECT_THAT(Lookup(fd.get(), {AddressOf("known_hidden")}).Chain(0),
              IsEmpty());
  EXPECT_THAT(symbolizer_.Report("key").attempts,
              Contains(HasSubstr(".gnu_debugdata: bad compressed stream")));
}

std::vector<uint8_t> Xz(const std::vector<uint8_t>& bytes,
                        uint32_t dictionary) {
  lzma_options_lzma options;
  lzma_lzma_preset(&options, 0);
  options.dict_size = dictionary;
  std::array<lzma_filter, 2> filters{
      {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}}};
  std::vector<uint8_t> packed(bytes.size() + 4096);
  size_t size = 0;
  EXPECT_EQ(lzma_stream_buffer_encode(filters.data(), LZMA_CHECK_CRC32, nullptr,
                                      bytes.data(), bytes.size(), packed.data(),
                                      &size, packed.size()),
            LZMA_OK);
  packed.resize(size);
  return packed;
}

TEST(InflateXz, KeepsToItsBounds) {
  std::vector<uint8_t> bytes(3 << 20, 'x');
  std::vector<uint8_t> packed = Xz(bytes, 1 << 20);
  std::vector<uint8_t> output;
  ASSERT_TRUE(InflateXz(packed, bytes.size(), output).ok());
  EXPECT_EQ(output, bytes);
  EXPECT_EQ(InflateXz(packed, bytes.size() - 1, output).code(),
            StatusCode::kExhausted);
  packed.pop_back();
  EXPECT_EQ(InflateXz(packed, bytes.size(), output).code(),
            StatusCode::kCorrupt);
}

TEST(InflateXz, RefusesAnOversizedDictionary) {
  std::vector<uint8_t> output;
  EXPECT_EQ(InflateXz(Xz({'x'}, 128 << 20), 100, output).code(),
            StatusCode::kExhausted);
}

}  // namespace
}  // namespace pprofd
