#include "symbolizer/allocator_functions.h"

#include <elf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "symbolizer/elf_file.h"
#include "symbolizer/probe_point.h"

namespace pprofd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::UnorderedElementsAre;
using Code = std::vector<uint8_t>;

const Code kPush = {0x55, 0xc3};

// A file with one segment of code and one of data, in which are the symbols,
// slots and what PT_DYNAMIC says of them.
class TestFile {
 public:
  static constexpr uint64_t kText = 0x1000;
  static constexpr uint64_t kData = 0x2000;
  static constexpr uint64_t kDistance = 0x400000;  // of addresses to offsets
  static constexpr uint64_t kSlots = 0x800;        // in the data
  enum Table { kDynamic, kStatic };

  // Returns the function's offset in the file.
  uint64_t Add(const std::string& name, Table table = kDynamic,
               const Code& code = kPush, int bind = STB_GLOBAL,
               int type = STT_FUNC) {
    text_.resize((text_.size() + 15) / 16 * 16, 0xcc);
    uint64_t offset = kText + text_.size();
    text_.insert(text_.end(), code.begin(), code.end());
    AddSymbol(table, name, offset + kDistance, code.size(), bind, type);
    return offset;
  }
  void Alias(const std::string& name, uint64_t offset, Table table = kDynamic) {
    AddSymbol(table, name, offset + kDistance, 2, STB_GLOBAL, STT_FUNC);
  }
  void Import(const std::string& name, uint32_t type, int64_t addend = 0) {
    AddSymbol(kDynamic, name, 0, 0, STB_GLOBAL, STT_FUNC);
    Elf64_Rela relocation{};
    relocation.r_offset = kData + kDistance + kSlots + 8 * relocations_.size();
    relocation.r_info = ELF64_R_INFO(symbols_[kDynamic].size(), type);
    relocation.r_addend = addend;
    relocations_.push_back(relocation);
  }
  void AddDynamic(int64_t tag, uint64_t value) {
    dynamic_.push_back({.d_tag = tag, .d_un = {.d_val = value}});
  }
  void set_type(uint16_t type) { type_ = type; }
  void set_interpreter() { has_interpreter_ = true; }

  std::vector<uint8_t> Build() {
    std::vector<uint8_t> file(kData);
    std::memcpy(file.data() + kText, text_.data(), text_.size());
    file.resize(kData + 0x1000);
    std::vector<Elf64_Shdr> sections(1);
    for (Table table : {kDynamic, kStatic}) {
      std::vector<Elf64_Sym> symbols(1);
      symbols.insert(symbols.end(), symbols_[table].begin(),
                     symbols_[table].end());
      PutSection(file, sections, table == kDynamic ? SHT_DYNSYM : SHT_SYMTAB,
                 symbols);
      PutSection(file, sections, SHT_STRTAB, names_[table]);
    }
    uint64_t relocations = Put(file, relocations_);
    AddDynamic(DT_SYMTAB, sections[1].sh_offset + kDistance);
    AddDynamic(DT_STRTAB, sections[2].sh_offset + kDistance);
    AddDynamic(DT_STRSZ, sections[2].sh_size);
    AddDynamic(DT_RELA, relocations + kDistance);
    AddDynamic(DT_RELASZ, relocations_.size() * sizeof(Elf64_Rela));
    // A part of the above again, as some linkers write it.
    AddDynamic(DT_JMPREL, relocations + kDistance);
    AddDynamic(DT_PLTRELSZ,
               std::min<size_t>(relocations_.size(), 1) * sizeof(Elf64_Rela));
    AddDynamic(DT_NULL, 0);
    uint64_t dynamic = Put(file, dynamic_);
    uint64_t end = file.size();
    uint64_t headers = Put(file, sections);
    PutHeaders(file, dynamic, end, headers, sections.size());
    return file;
  }

 private:
  void AddSymbol(Table table, const std::string& name, uint64_t address,
                 uint64_t size, int bind, int type) {
    Elf64_Sym symbol{};
    symbol.st_name = static_cast<uint32_t>(names_[table].size());
    symbol.st_info = static_cast<unsigned char>(ELF64_ST_INFO(bind, type));
    symbol.st_shndx = address == 0 ? SHN_UNDEF : 1;
    symbol.st_value = address;
    symbol.st_size = size;
    symbols_[table].push_back(symbol);
    names_[table].insert(names_[table].end(), name.begin(), name.end());
    names_[table].push_back('\0');
  }

  template <typename T>
  static uint64_t Put(std::vector<uint8_t>& file, const std::vector<T>& what) {
    uint64_t offset = (file.size() + 7) / 8 * 8;
    file.resize(offset + what.size() * sizeof(T));
    if (!what.empty()) {
      std::memcpy(file.data() + offset, what.data(), what.size() * sizeof(T));
    }
    return offset;
  }

  template <typename T>
  static void PutSection(std::vector<uint8_t>& file,
                         std::vector<Elf64_Shdr>& sections, uint32_t type,
                         const std::vector<T>& what) {
    Elf64_Shdr header{};
    header.sh_type = type;
    header.sh_offset = Put(file, what);
    header.sh_size = what.size() * sizeof(T);
    header.sh_link = static_cast<uint32_t>(sections.size() + 1);
    sections.push_back(header);
  }

  void PutHeaders(std::vector<uint8_t>& file, uint64_t dynamic, uint64_t end,
                  uint64_t sections, size_t section_count) const {
    auto segment = [](uint32_t type, uint32_t flags, uint64_t offset,
                      uint64_t size) {
      Elf64_Phdr header{};
      header.p_type = type;
      header.p_flags = flags;
      header.p_offset = offset;
      header.p_vaddr = offset + kDistance;
      header.p_filesz = header.p_memsz = size;
      return header;
    };
    std::vector<Elf64_Phdr> segments = {
        segment(PT_LOAD, PF_R | PF_X, kText, text_.size()),
        segment(PT_LOAD, PF_R | PF_W, kData, end - kData),
        segment(PT_DYNAMIC, PF_R | PF_W, dynamic,
                dynamic_.size() * sizeof(Elf64_Dyn))};
    if (has_interpreter_) segments.push_back(segment(PT_INTERP, PF_R, 0, 0));
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = type_;
    header.e_machine = EM_X86_64;
    header.e_entry = kText + kDistance;
    header.e_phoff = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = static_cast<uint16_t>(segments.size());
    header.e_shoff = sections;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = static_cast<uint16_t>(section_count);
    std::memcpy(file.data(), &header, sizeof(header));
    std::memcpy(file.data() + sizeof(header), segments.data(),
                segments.size() * sizeof(Elf64_Phdr));
  }

  uint16_t type_ = ET_DYN;
  bool has_interpreter_ = false;
  std::vector<uint8_t> text_;
  std::map<Table, std::vector<Elf64_Sym>> symbols_;
  std::map<Table, std::vector<char>> names_{{kDynamic, {'\0'}},
                                            {kStatic, {'\0'}}};
  std::vector<Elf64_Rela> relocations_;
  std::vector<Elf64_Dyn> dynamic_;
};

AllocatorReport ReportOf(const std::vector<uint8_t>& bytes) {
  auto report = FindAllocatorFunctions(bytes);
  EXPECT_TRUE(report.ok()) << report.status().ToString();
  return report.ok() ? *report : AllocatorReport();
}

std::vector<std::string> NamesOf(const AllocatorReport& report) {
  std::vector<std::string> names;
  names.reserve(report.functions.size());
  for (const auto& function : report.functions) names.push_back(function.name);
  return names;
}

TEST(AllocatorFunctions, FindsWhatALibraryExports) {
  TestFile file;
  uint64_t malloc = file.Add("malloc");
  uint64_t free = file.Add("free", TestFile::kDynamic,
                           {0x48, 0x85, 0xff, 0x74, 0x01, 0x90, 0xc3});
  file.Add("strdup");
  AllocatorReport report = ReportOf(file.Build());
  EXPECT_EQ(report.family, "unknown");
  EXPECT_TRUE(report.has_symbols);
  EXPECT_FALSE(report.is_static);
  ASSERT_THAT(NamesOf(report), ElementsAre("malloc", "free"));
  EXPECT_EQ(report.functions[0].kind, uint32_t{PPROFD_HEAP_MALLOC});
  EXPECT_EQ(report.functions[0].entry.value, malloc);
  EXPECT_EQ(report.functions[0].probe.value, malloc);
  EXPECT_EQ(report.functions[1].kind, uint32_t{PPROFD_HEAP_FREE});
  EXPECT_EQ(report.functions[1].entry.value, free);
  EXPECT_EQ(report.functions[1].probe.value, free + 3);
  EXPECT_TRUE(report.functions[1].is_emulated);
  EXPECT_EQ(report.functions[1].registers[0], 5);
}

TEST(AllocatorFunctions, ReportsNoneForAFileThatLacksOneOfThem) {
  TestFile file;
  file.Add("malloc");
  AllocatorReport report = ReportOf(file.Build());
  EXPECT_EQ(report.family, "");
  EXPECT_THAT(report.functions, IsEmpty());
}

TEST(AllocatorFunctions, TakesNoFunctionThatIsChosenAtRunTime) {
  TestFile file;
  file.Add("malloc", TestFile::kDynamic, kPush, STB_GLOBAL, STT_GNU_IFUNC);
  file.Add("free");
  EXPECT_EQ(ReportOf(file.Build()).family, "");
}

TEST(AllocatorFunctions, ReportsOneFunctionOnceByItsFirstName) {
  TestFile file;
  file.Add("malloc");
  uint64_t free = file.Add("free");
  uint64_t memalign = file.Add("memalign");
  file.Alias("aligned_alloc", memalign);
  file.Alias("gnu_get_libc_version", free);
  file.Add("reallocarray");
  file.Add("_Znwm");
  AllocatorReport report = ReportOf(file.Build());
  EXPECT_EQ(report.family, "glibc");
  ASSERT_THAT(NamesOf(report), ElementsAre("malloc", "memalign", "free"));
  EXPECT_EQ(report.functions[1].kind, uint32_t{PPROFD_HEAP_ALIGNED_ABOVE});
}

TEST(AllocatorFunctions, LeavesOutWhatOnlyJumpsToAnother) {
  TestFile file;
  file.Add("malloc");
  file.Add("free");
  file.Add("mallocx");
  file.Add("_Znwm");
  file.Add("_Znam", TestFile::kDynamic, {0xe9, 0xeb, 0xff, 0xff, 0xff});
  EXPECT_THAT(NamesOf(ReportOf(file.Build())),
              ElementsAre("malloc", "free", "mallocx", "_Znwm"));
}

TEST(AllocatorFunctions, TellsFamiliesThatCallMallocTheSame) {
  for (auto [tell, family] :
       {std::pair("tc_malloc", "tcmalloc"), std::pair("mi_malloc", "mimalloc"),
        std::pair("TCMallocInternalMalloc", "tcmalloc")}) {
    TestFile file;
    file.Alias(tell, file.Add("malloc"));
    file.Add("free");
    file.Add("__libc_malloc");
    EXPECT_EQ(ReportOf(file.Build()).family, family);
  }
}

TEST(AllocatorFunctions, FindsThoseOfAStaticProgramInItsSymbolTable) {
  TestFile file;
  file.set_type(ET_EXEC);
  file.Add("malloc", TestFile::kStatic, kPush, STB_LOCAL);
  file.Add("free", TestFile::kStatic);
  file.Add("__libc_malloc_impl", TestFile::kStatic);
  AllocatorReport report = ReportOf(file.Build());
  EXPECT_TRUE(report.is_static);
  EXPECT_EQ(report.family, "musl");
  EXPECT_THAT(NamesOf(report), ElementsAre("malloc", "free"));
}

TEST(AllocatorFunctions, DoesNotTakeWhatADynamicProgramKeepsToItself) {
  TestFile file;
  file.set_interpreter();
  file.Add("malloc", TestFile::kStatic);
  file.Add("free", TestFile::kStatic);
  EXPECT_EQ(ReportOf(file.Build()).family, "");
}

TEST(AllocatorFunctions, FindsAnAllocatorWithAPrefixInADynamicProgram) {
  for (const std::string prefix : {"_rjem_", "je_"}) {
    TestFile file;
    file.set_interpreter();
    for (const char* name : {"malloc", "free", "sdallocx"}) {
      file.Add(prefix + name, TestFile::kStatic, kPush, STB_LOCAL);
    }
    file.Add("calloc", TestFile::kStatic);
    AllocatorReport report = ReportOf(file.Build());
    EXPECT_EQ(report.family, "jemalloc");
    EXPECT_THAT(NamesOf(report), ElementsAre(prefix + "malloc", prefix + "free",
                                             prefix + "sdallocx"));
  }
}

TEST(AllocatorFunctions, FindsTwoAllocatorsOfOneStaticProgram) {
  TestFile file;
  file.set_type(ET_EXEC);
  for (const char* name : {"malloc", "free", "__libc_malloc", "mi_malloc",
                           "mi_free", "mi_malloc_aligned"}) {
    file.Add(name, TestFile::kStatic);
  }
  AllocatorReport report = ReportOf(file.Build());
  EXPECT_EQ(report.family, "mimalloc");
  EXPECT_THAT(NamesOf(report),
              UnorderedElementsAre("malloc", "free", "mi_malloc", "mi_free",
                                   "mi_malloc_aligned"));
}

TEST(AllocatorFunctions, FindsSlotsOnceEach) {
  TestFile file;
  file.Import("malloc", R_X86_64_JUMP_SLOT);
  file.Import("_ZdlPvm", R_X86_64_GLOB_DAT);
  file.Import("strlen", R_X86_64_JUMP_SLOT);
  file.Import("free", R_X86_64_64);
  file.Import("calloc", R_X86_64_64, 8);  // no slot
  AllocatorReport report = ReportOf(file.Build());
  std::vector<std::pair<std::string, uint64_t>> slots;
  slots.reserve(report.slots.size());
  for (const auto& slot : report.slots) {
    slots.emplace_back(slot.name, slot.address.value);
  }
  const uint64_t first =
      TestFile::kData + TestFile::kDistance + TestFile::kSlots;
  EXPECT_THAT(slots, ElementsAre(std::pair("malloc", first),
                                 std::pair("_ZdlPvm", first + 8),
                                 std::pair("free", first + 24)));
  EXPECT_FALSE(report.has_symbols);
}

TEST(AllocatorFunctions, FindsSlotsOfAFileWithoutSections) {
  TestFile file;
  file.Import("malloc", R_X86_64_JUMP_SLOT);
  std::vector<uint8_t> bytes = file.Build();
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  header.e_shoff = header.e_shnum = 0;
  std::memcpy(bytes.data(), &header, sizeof(header));
  EXPECT_EQ(ReportOf(bytes).slots.size(), 1u);
}

TEST(AllocatorFunctions, ReportsSoManySlotsOnly) {
  TestFile file;
  for (size_t i = 0; i < kMaxAllocatorSlots + 10; ++i) {
    file.Import("free", R_X86_64_GLOB_DAT);
  }
  // Of which one was met twice.
  EXPECT_EQ(ReportOf(file.Build()).slots.size(), kMaxAllocatorSlots - 1);
}

TEST(AllocatorFunctions, TellsProgramsThatNeedNoDynamicLinker) {
  auto is_static = [](auto change) {
    TestFile file;
    change(file);
    return ReportOf(file.Build()).is_static;
  };
  EXPECT_TRUE(is_static([](TestFile& f) { f.set_type(ET_EXEC); }));
  EXPECT_TRUE(
      is_static([](TestFile& f) { f.AddDynamic(DT_FLAGS_1, DF_1_PIE); }));
  // A dynamic linker, a program that needs one, and one that needs a file.
  EXPECT_FALSE(is_static([](TestFile&) {}));
  EXPECT_FALSE(is_static([](TestFile& f) {
    f.AddDynamic(DT_FLAGS_1, DF_1_PIE);
    f.set_interpreter();
  }));
  EXPECT_FALSE(is_static([](TestFile& f) {
    f.set_type(ET_EXEC);
    f.AddDynamic(DT_NEEDED, 1);
  }));
}

TEST(AllocatorFunctions, RefusesWhatIsNoProgram) {
  std::vector<uint8_t> bytes = {'#', '!'};
  EXPECT_EQ(FindAllocatorFunctions(bytes).status().code(),
            StatusCode::kUnsupported);
}

TEST(AllocatorFunctions, SurvivesFilesThatAreCut) {
  TestFile file;
  file.Add("malloc");
  file.Add("free");
  file.Import("free", R_X86_64_GLOB_DAT);
  std::vector<uint8_t> bytes = file.Build();
  for (size_t size = 0; size < bytes.size(); size += 7) {
    auto report =
        FindAllocatorFunctions(std::span<const uint8_t>(bytes).first(size));
    if (!report.ok()) continue;
    EXPECT_LE(report->functions.size(), 2u);
  }
}

// Of this machine.
class LibraryTest : public testing::Test {
 protected:
  AllocatorReport Read(const std::string& path) {
    UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return {};
    auto map = MapFile(file.get());
    if (!map.ok()) return {};
    auto report = FindAllocatorFunctions(Bytes(*map));
    return report.ok() ? *report : AllocatorReport();
  }

  static void ExpectSensibleProbes(const AllocatorReport& report) {
    for (const AllocatorFunction& function : report.functions) {
      EXPECT_GE(function.probe, function.entry) << function.name;
      EXPECT_LT(function.probe.value - function.entry.value,
                ProbePoint::kMaxBytes)
          << function.name;
      bool is_hot = function.name == "malloc" || function.name == "free";
      EXPECT_TRUE(function.is_emulated || !is_hot) << function.name;
    }
  }

  static std::string Folder() { return "/usr/lib/x86_64-linux-gnu/"; }
};

TEST_F(LibraryTest, ReadsTheLibc) {
  AllocatorReport report = Read(Folder() + "libc.so.6");
  EXPECT_EQ(report.family, "glibc");
  EXPECT_FALSE(report.is_static);
  EXPECT_THAT(NamesOf(report),
              IsSupersetOf({"malloc", "calloc", "realloc", "memalign",
                            "posix_memalign", "valloc", "pvalloc", "free"}));
  EXPECT_THAT(NamesOf(report), Not(testing::Contains("reallocarray")));
  EXPECT_THAT(report.slots, Not(IsEmpty()));
  ExpectSensibleProbes(report);
}

TEST_F(LibraryTest, ReadsJemalloc) {
  AllocatorReport report = Read(Folder() + "libjemalloc.so.2");
  if (report.family.empty()) GTEST_SKIP() << "not installed";
  EXPECT_EQ(report.family, "jemalloc");
  EXPECT_THAT(NamesOf(report),
              IsSupersetOf({"malloc", "aligned_alloc", "mallocx", "_Znwm",
                            "_ZdlPvm", "_ZdaPvm", "sdallocx"}));
  ExpectSensibleProbes(report);
}

TEST_F(LibraryTest, ReadsTcmalloc) {
  AllocatorReport report = Read(Folder() + "libtcmalloc_minimal.so.4");
  if (report.family.empty()) GTEST_SKIP() << "not installed";
  EXPECT_EQ(report.family, "tcmalloc");
  EXPECT_THAT(NamesOf(report),
              IsSupersetOf({"malloc", "memalign", "_Znwm", "_ZdlPvm",
                            "_ZnwmSt11align_val_t"}));
  EXPECT_THAT(NamesOf(report), Not(testing::Contains("posix_memalign")));
  ExpectSensibleProbes(report);
}

TEST_F(LibraryTest, ReadsMimalloc) {
  AllocatorReport report = Read(Folder() + "libmimalloc.so.2.0");
  if (report.family.empty()) GTEST_SKIP() << "not installed";
  EXPECT_EQ(report.family, "mimalloc");
  EXPECT_THAT(NamesOf(report),
              IsSupersetOf({"malloc", "reallocarray", "_Znwm", "free"}));
  EXPECT_THAT(NamesOf(report), Not(testing::Contains("mi_malloc_aligned")));
  ExpectSensibleProbes(report);
}

TEST_F(LibraryTest, ReadsMusl) {
  AllocatorReport report = Read("/lib/ld-musl-x86_64.so.1");
  if (report.family.empty()) GTEST_SKIP() << "not installed";
  EXPECT_EQ(report.family, "musl");
  EXPECT_FALSE(report.is_static);
  EXPECT_THAT(NamesOf(report),
              ElementsAre("malloc", "realloc", "aligned_alloc", "free"));
  ExpectSensibleProbes(report);
}

}  // namespace
}  // namespace pprofd
