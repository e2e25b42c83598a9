// Files that nobody should have made, and what may be in place of a file: each
// is answered within its limits.
#include <dwarf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lzma.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "symbolizer/hostile_elf.h"

namespace pprofd {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kHuge = uint64_t{1} << 60;
constexpr uint64_t kText = HostileElf::kTextAddress;
constexpr uint64_t kTextSize = HostileElf::kTextSize;

Blob Symbols(size_t count) {
  Blob symbols;
  for (size_t i = 0; i < count; ++i) {
    Elf64_Sym symbol{};
    symbol.st_name = static_cast<uint32_t>(i % 64);
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
    symbol.st_shndx = SHN_ABS;
    symbol.st_value = kText + i % kTextSize;
    symbol.st_size = 1 + i % 4096;
    symbols.Struct(symbol);
  }
  return symbols;
}

void AddSymbols(HostileElf& elf, HostileElf::Section symbols) {
  uint32_t strings = elf.Add({.name = ".strtab",
                              .type = SHT_STRTAB,
                              .bytes = Blob::Filled(1 << 20, 'x')});
  symbols.name = ".symtab";
  symbols.type = SHT_SYMTAB;
  symbols.link = strings;
  elf.Add(std::move(symbols));
}

Blob PackZlib(const Blob& blob) {
  uLongf size = compressBound(blob.size());
  Blob packed = Blob::Filled(size, 0);
  EXPECT_EQ(compress2(packed.bytes().data(), &size, blob.bytes().data(),
                      blob.size(), 1),
            Z_OK);
  packed.bytes().resize(size);
  return packed;
}

Blob PackZstd(const Blob& blob) {
  Blob packed = Blob::Filled(ZSTD_compressBound(blob.size()), 0);
  size_t size = ZSTD_compress(packed.bytes().data(), packed.size(),
                              blob.bytes().data(), blob.size(), 1);
  EXPECT_FALSE(ZSTD_isError(size));
  packed.bytes().resize(size);
  return packed;
}

Blob PackXz(const Blob& blob) {
  Blob packed = Blob::Filled(lzma_stream_buffer_bound(blob.size()), 0);
  size_t size = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(
                0, LZMA_CHECK_CRC32, nullptr, blob.bytes().data(), blob.size(),
                packed.bytes().data(), &size, packed.size()),
            LZMA_OK);
  packed.bytes().resize(size);
  return packed;
}

std::string AttemptsOf(const HostileAnswer& answer) {
  std::string text;
  for (const std::string& attempt : answer.report.attempts) {
    text += attempt + "\n";
  }
  return text;
}

std::vector<uint8_t> ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A folder for one test.
class HostileFiles : public testing::Test {
 protected:
  HostileFiles() {
    std::string name = testing::TempDir() + "hostile.XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~HostileFiles() override { fs::remove_all(folder_); }

  std::string PathOf(const std::string& name) const {
    return (folder_ / name).string();
  }
  void Write(const std::string& name, const std::vector<uint8_t>& bytes) {
    std::ofstream file(folder_ / name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  HostileAnswer AskOpened(const std::string& name) {
    UniqueFd fd(open(PathOf(name).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    EXPECT_TRUE(fd);
    return Ask(fd.get(),
               {.path = PathOf(name), .debug_roots = {PathOf("debug")}});
  }
  // Puts each kind of thing that is no file at `name` and runs `check`.
  void ForEachKindOfNoFile(const std::string& name,
                           const std::function<void()>& check) {
    const std::string path = PathOf(name);
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    check();
    fs::remove(path);
    fs::create_directory(path);
    check();
    fs::remove(path);
    for (const char* target : {"/dev/zero", "/dev/full", "/dev/tty", "/dev",
                               "/proc/self/fd/0", "/proc/kmsg"}) {
      fs::create_symlink(target, path);
      check();
      fs::remove(path);
    }
    fs::create_symlink(name, path);  // to itself
    check();
    fs::remove(path);
  }

  fs::path folder_;
};

TEST_F(HostileFiles, SectionsOfHugeSizeHaveNoNames) {
  for (uint64_t size : {kHuge, UINT64_MAX, uint64_t{24} << 32}) {
    HostileElf elf;
    AddSymbols(elf, {.bytes = Symbols(4), .claimed_size = size});
    for (const char* name :
         {".debug_info", ".debug_abbrev", ".debug_line", ".debug_str",
          ".gopclntab", ".gnu_debugdata", ".gnu_debuglink", ".gnu_debugaltlink",
          ".debug_sup", ".zdebug_ranges"}) {
      elf.Add({.name = name, .bytes = Symbols(4), .claimed_size = size});
    }
    elf.Add({.name = ".note", .type = SHT_NOTE, .claimed_size = size});
    HostileAnswer answer = Ask(elf.Build());
    ExpectWithinLimits(answer);
    EXPECT_TRUE(answer.symbols.Chain(0).empty());
  }
}

TEST_F(HostileFiles, SymbolTableOfMillionsIsCut) {
  HostileElf elf;
  AddSymbols(elf, {.bytes = Symbols(5 << 20)});
  ExpectWithinLimits(Ask(elf.Build()), uint64_t{768} << 20);
}

// Nothing but headers is in the file; the rest is a hole.
TEST_F(HostileFiles, SparseSymbolTableIsCut) {
  constexpr uint64_t kSize = uint64_t{6} << 30;
  HostileElf elf;
  AddSymbols(elf, {.claimed_size = kSize - (uint64_t{16} << 20)});
  Write("sparse", elf.Build());
  ASSERT_EQ(truncate(PathOf("sparse").c_str(), kSize), 0);
  ExpectWithinLimits(AskOpened("sparse"), uint64_t{768} << 20);
}

TEST_F(HostileFiles, SectionsThatOverlapAreReadOnce) {
  HostileElf elf;
  AddSymbols(elf, {.bytes = Symbols(1 << 18)});
  for (int i = 0; i < 60'000; ++i) {
    uint32_t type = i % 3 == 0 ? SHT_NOTE : i % 3 == 1 ? SHT_RELA : SHT_SYMTAB;
    elf.Add({.name = i % 3 == 1 ? ".rela.x" : "n",
             .type = type,
             .link = 1,
             .same_bytes_as = 1 + i % 2});
  }
  for (const char* name : {".debug_info", ".debug_abbrev", ".debug_line",
                           ".debug_str", ".gopclntab", ".eh_frame"}) {
    elf.Add({.name = name, .same_bytes_as = 2});
  }
  ExpectWithinLimits(Ask(elf.Build()));
}

// Notes that are 12 bytes each, in thousands of sections.
TEST_F(HostileFiles, NotesThatOverlapAreReadOnce) {
  HostileElf elf;
  elf.Add({.name = "n", .type = SHT_NOTE, .bytes = Blob::Filled(12 << 20, 0)});
  for (int i = 0; i < 60'000; ++i) {
    elf.Add({.name = "n", .type = SHT_NOTE, .same_bytes_as = 1});
  }
  ExpectWithinLimits(Ask(elf.Build()));
}

// The stub's slot is in none of a thousand tables of a million relocations.
TEST_F(HostileFiles, RelocationsThatOverlapAreReadOnce) {
  HostileElf elf;
  elf.Add({.name = ".rela.plt",
           .type = SHT_RELA,
           .bytes = Blob::Filled(24 << 20, 0)});
  for (int i = 0; i < 1000; ++i) {
    elf.Add({.name = ".rela.plt", .type = SHT_RELA, .same_bytes_as = 1});
  }
  Blob stubs;
  stubs.Repeat(Blob({0xff, 0x25, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}),
               kTextSize / 16);
  elf.Add({.name = ".plt", .bytes = stubs, .address = kText});
  ExpectWithinLimits(Ask(elf.Build()));
}

TEST_F(HostileFiles, CompressionBombsAreRefused) {
  const Blob zeros = Blob::Filled(96 << 20, 0);
  const Blob zlib = PackZlib(zeros);
  const Blob zstd = PackZstd(zeros);
  const Blob xz = PackXz(zeros);
  for (const char* name :
       {".debug_info", ".symtab", ".gopclntab", ".plt", ".rela.dyn",
        ".gnu_debuglink", ".gnu_debugaltlink", ".gnu_debugdata", ".eh_frame"}) {
    for (uint64_t claimed : {uint64_t{1000}, uint64_t{1} << 30, kHuge}) {
      HostileElf elf;
      elf.AddCompressed(name, ELFCOMPRESS_ZLIB, claimed, zlib);
      elf.AddCompressed(name, 2, claimed, zstd);
      ExpectWithinLimits(Ask(elf.Build()), 64 << 20);
    }
  }
  HostileElf mini;
  mini.Add(".gnu_debugdata", xz);
  ExpectWithinLimits(Ask(mini.Build()), 160 << 20);
}

// What a loader or runtime reads is never compressed.
TEST_F(HostileFiles, CompressedTablesOfTheLoaderAreNotUnpacked) {
  const Blob zeros = Blob::Filled(128 << 20, 0);
  const Blob zstd = PackZstd(zeros);
  HostileElf elf;
  uint32_t strings = elf.Add(
      {.name = ".strtab", .type = SHT_STRTAB, .bytes = Blob::Filled(100, 'x')});
  Elf64_Chdr header{};
  header.ch_type = 2;
  header.ch_size = zeros.size();
  const Blob section = Blob().Struct(header).Append(zstd);
  for (uint32_t type : {SHT_SYMTAB, SHT_DYNSYM, SHT_RELA}) {
    elf.Add({.name = ".rela.dyn",
             .type = type,
             .flags = SHF_COMPRESSED,
             .bytes = section,
             .link = strings});
  }
  elf.Add({.name = ".plt",
           .flags = SHF_COMPRESSED,
           .bytes = section,
           .address = kText});
  elf.Add({.name = ".gopclntab", .flags = SHF_COMPRESSED, .bytes = section});
  ExpectWithinLimits(Ask(elf.Build()), uint64_t{64} << 20);
}

TEST_F(HostileFiles, StringsWithoutAnEndGiveNoNames) {
  HostileElf elf;
  AddSymbols(elf, {.bytes = Symbols(64)});
  elf.Add(".gnu_debuglink", Blob::Filled(4096, 'x'));
  elf.Add(".gnu_debugaltlink", Blob::Filled(4096, 'x'));
  elf.Add(".debug_sup", Blob({5, 0, 0}).Append(Blob::Filled(4096, 'x')));
  HostileAnswer answer = Ask(elf.Build());
  ExpectWithinLimits(answer);
  for (const SymbolFunction& function : answer.symbols.functions) {
    EXPECT_LE(function.name.size(), 16u << 10);
  }
}

TEST_F(HostileFiles, LongBuildIdIsNone) {
  HostileElf elf;
  elf.AddBuildId(Blob::Filled(64 << 10, 0xab));
  HostileAnswer answer = Ask(elf.Build());
  ExpectWithinLimits(answer);
  EXPECT_THAT(AttemptsOf(answer), testing::HasSubstr("neither build ID nor"));
}

TEST_F(HostileFiles, GoTableOfZerosHasNoNames) {
  Blob table =
      Blob().U32(0xfffffff1).U16(0).U8(1).U8(8).U64(1).U64(1).U64(kText);
  for (int i = 0; i < 5; ++i) table.U64(72);
  // One function over all of the code, with a program of empty steps.
  table.U32(0).U32(24).U32(kTextSize).U32(0);
  table.U64(0).U64(0).Append(Blob::Filled(32 << 20, 1));
  HostileElf elf;
  elf.Add(".gopclntab", table);
  ExpectWithinLimits(Ask(elf.Build()));
}

TEST_F(HostileFiles, NoFileInPlaceOfTheModuleIsRefused) {
  ForEachKindOfNoFile("module", [&] {
    int fd = open(PathOf("module").c_str(),
                  O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    HostileAnswer answer = Ask(fd);
    if (fd >= 0) close(fd);
    ExpectWithinLimits(answer);
    EXPECT_TRUE(answer.symbols.Chain(0).empty());
    EXPECT_EQ(answer.report.attempts.size(), 1u);
  });
}

TEST_F(HostileFiles, NoFileInPlaceOfTheDebugFileIsPassedOver) {
  HostileElf elf;
  elf.AddBuildId(Blob::Filled(20, 0xab));
  elf.Add(".gnu_debuglink",
          Blob().Text("module.debug").U8(0).U8(0).U8(0).U32(0x12345678));
  Write("module", elf.Build());
  fs::create_directories(folder_ / "debug/.build-id/ab");
  fs::create_directories(folder_ / ".debug");
  std::string id = "debug/.build-id/ab/";
  for (int i = 0; i < 19; ++i) id += "ab";
  for (const std::string& name :
       {std::string("module.debug"), std::string(".debug/module.debug"),
        id + ".debug"}) {
    ForEachKindOfNoFile(name, [&] {
      HostileAnswer answer = AskOpened("module");
      ExpectWithinLimits(answer);
      EXPECT_THAT(AttemptsOf(answer),
                  testing::HasSubstr("none for build ID abab"));
    });
  }
}

// libdw would wait for a writer of the FIFO.
TEST_F(HostileFiles, NoFileInPlaceOfSplitDwarfIsPassedOver) {
  for (uint64_t tag : {DW_TAG_skeleton_unit, DW_TAG_compile_unit}) {
    for (bool has_code : {false, true}) {
      HostileElf elf;
      Blob dies = Blob().Uleb(1).Text("unit.dwo").Text(folder_.string());
      Blob abbreviations;
      if (has_code) {
        dies.U64(kText).U32(kTextSize);
        abbreviations = Abbreviation(1, tag, true,
                                     {{DW_AT_dwo_name, DW_FORM_string},
                                      {DW_AT_comp_dir, DW_FORM_string},
                                      {DW_AT_low_pc, DW_FORM_addr},
                                      {DW_AT_high_pc, DW_FORM_data4}});
      } else {
        abbreviations = Abbreviation(1, tag, true,
                                     {{DW_AT_dwo_name, DW_FORM_string},
                                      {DW_AT_comp_dir, DW_FORM_string}});
      }
      // Of a skeleton unit, the ID comes before the DIEs.
      Blob info = Blob()
                      .U32(dies.size() + 16)
                      .U16(5)
                      .U8(DW_UT_skeleton)
                      .U8(8)
                      .U32(0)
                      .U64(0x1234)
                      .Append(dies);
      elf.Add(".debug_info", info);
      elf.Add(".debug_abbrev", abbreviations.U8(0));
      Write("module", elf.Build());
      for (const char* name : {"unit.dwo", "module.dwp"}) {
        ForEachKindOfNoFile(name,
                            [&] { ExpectWithinLimits(AskOpened("module")); });
      }
    }
  }
}

// Names of functions are in the alternate file, at the offsets given.
std::vector<uint8_t> WithAlternateReferences(const std::string& link) {
  HostileElf elf;
  Blob dies = Blob().Uleb(1).U64(kText).U32(kTextSize);
  uint64_t first = kUnitHeaderBytes + dies.size();
  for (uint64_t target : {first, first + 17, uint64_t{0xffffff00}}) {
    dies.Uleb(2).U64(kText).U32(kTextSize).U32(target);
  }
  elf.Add(".debug_info", DwarfUnit(dies.U8(0)));
  elf.Add(
      ".debug_abbrev",
      Abbreviation(
          1, DW_TAG_compile_unit, true,
          {{DW_AT_low_pc, DW_FORM_addr}, {DW_AT_high_pc, DW_FORM_data4}})
          .Append(Abbreviation(2, DW_TAG_subprogram, false,
                               {{DW_AT_low_pc, DW_FORM_addr},
                                {DW_AT_high_pc, DW_FORM_data4},
                                {DW_AT_abstract_origin, DW_FORM_GNU_ref_alt}}))
          .U8(0));
  elf.AddBuildId(Blob::Filled(20, 0xab));
  elf.Add(".gnu_debugaltlink",
          Blob().Text(link).Append(Blob::Filled(20, 0xab)));
  return elf.Build();
}

TEST_F(HostileFiles, NoFileInPlaceOfTheAlternateFileIsPassedOver) {
  Write("module", WithAlternateReferences("alternate"));
  ForEachKindOfNoFile("alternate", [&] {
    HostileAnswer answer = AskOpened("module");
    ExpectWithinLimits(answer);
    EXPECT_THAT(AttemptsOf(answer), testing::HasSubstr("no alternate"));
  });
}

TEST_F(HostileFiles, FileThatIsItsOwnAlternateEnds) {
  Write("module", WithAlternateReferences("module"));
  HostileAnswer answer = AskOpened("module");
  ExpectWithinLimits(answer);
  for (const SymbolLine& line : answer.symbols.Chain(0)) {
    EXPECT_EQ(line.name, "") << "it has no names";
  }
}

TEST_F(HostileFiles, FileThatIsItsOwnDebugFileEnds) {
  HostileElf elf;
  elf.AddBuildId(Blob::Filled(20, 0xab));
  elf.Add(".gnu_debuglink", Blob().Text("module").U8(0).U32(0));
  Write("module", elf.Build());
  ExpectWithinLimits(AskOpened("module"));
}

TEST_F(HostileFiles, LargeDebugFileWithoutBuildIdIsNotReadForItsChecksum) {
  HostileElf elf;
  elf.Add(".gnu_debuglink", Blob().Text("large").U8(0).U8(0).U32(1));
  Write("module", elf.Build());
  Write("large", HostileElf().Build());
  ASSERT_EQ(truncate(PathOf("large").c_str(), int64_t{7} << 30), 0);
  HostileAnswer answer = AskOpened("module");
  ExpectWithinLimits(answer);
  EXPECT_THAT(AttemptsOf(answer), testing::HasSubstr("too large for a CRC"));
}

// Cuts the file at any page and back while it is read.
TEST_F(HostileFiles, FileThatShrinksWhileItIsReadIsAnswered) {
  const std::vector<uint8_t> bytes = ReadAll(PPROFD_KNOWN_CODE);
  const std::string path = PathOf("module");
  Write("module", bytes);
  std::atomic<bool> is_done{false};
  std::thread cutter([&] {
    UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    for (size_t i = 1; !is_done; ++i) {
      size_t size = i * 4001 % bytes.size();
      EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(size)), 0);
      EXPECT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), 0),
                static_cast<ssize_t>(bytes.size()));
    }
  });
  for (int i = 0; i < 300; ++i) {
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    Ask(fd.get(), {.start = 0, .size = bytes.size()});
  }
  is_done = true;
  cutter.join();
}

TEST_F(HostileFiles, FileThatShrinksBetweenQuestionsIsAnswered) {
  const std::vector<uint8_t> bytes = ReadAll(PPROFD_KNOWN_CODE);
  Write("module", bytes);
  UniqueFd fd(open(PathOf("module").c_str(), O_RDONLY | O_CLOEXEC));
  Symbolizer symbolizer({});
  auto ask = [&](uint64_t address) {
    std::vector<ModuleAddr> addresses{{address}};
    return symbolizer.SymbolizeModule(
        fd.get(), "module", "", "", addresses, DemangleStyle::kShort,
        std::chrono::steady_clock::now() + std::chrono::seconds(2));
  };
  for (size_t size = bytes.size(); size > 0; size /= 2) {
    fs::resize_file(folder_ / "module", size);
    for (uint64_t address = 0; address < 0x3000; address += 0x111) {
      EXPECT_EQ(ask(address + size).size(), 1u);
    }
  }
}

}  // namespace
}  // namespace pprofd
